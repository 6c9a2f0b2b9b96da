/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVMI_ANSWER_H
#define AGENT_KVMI_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

#include "protocol/kvmi.h"

/* How commands are answered (v7: CONTROL_CMD_RESPONSE). */
struct kvmi_how {
	bool silent;		/* not at all, but */
	bool tells_errors;	/* by an event CMD_ERROR if they fail */
};

/* Answer a command: err is negated or 0, data comes with the latter only. */
void kvmi_answer(const struct kvmi_how *how, const struct kvmi_header *command, int err,
		 const void *data, size_t size);

#endif
