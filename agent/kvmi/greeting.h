/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVMI_GREETING_H
#define AGENT_KVMI_GREETING_H

#include "protocol/kvmi.h"

/* QEMU's handshake with the tool, under way. */
struct kvmi_greeting {
	struct kvmi_answer answer;
	uint32_t have;		/* bytes of it that have come */
};

/* From now on the VM counts as started. */
void kvmi_greeting_init(void);

/* Service thread: begin.  -1 if the tool is gone already. */
int kvmi_greeting_send(struct kvmi_greeting *greeting, int fd);

enum {
	KVMI_GREETING_BROKEN = -1,	/* the tool is gone, or does not speak this */
	KVMI_GREETING_WRONG = -2,	/* it does not know the key */
	KVMI_GREETING_NO_SECRET = -3,	/* QEMU does not */
};

/* What can be read of the answer: 1 = it is there and right, 0 = not there yet, or one of these. */
int kvmi_greeting_read(struct kvmi_greeting *greeting, int fd);

#endif
