/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "answer.h"
#include "ids.h"
#include "options.h"
#include "out.h"
#include "protocol/kvmi_event.h"

/* v7 only. */
static void tell_error(const struct kvmi_header *command, int err)
{
	const struct kvmi_v7_event head = { .size = sizeof(head),
					    .event = (uint8_t)kvmi_event_id(kvmi_options.generation,
									    KVMI_EVENT_CMD_ERROR) };
	const struct kvmi_v7_event_cmd_error part = { .err = err, .seq = command->seq,
						      .id = command->id };

	if (!kvmi_event_allowed(KVMI_EVENT_CMD_ERROR))
		kvmi_out_hang_up("a command failed, and CMD_ERROR is not allowed");
	else
		kvmi_out_event(KVMI_V7_EVENT, &head, sizeof(head), &part, sizeof(part));
}

void kvmi_answer(const struct kvmi_how *how, const struct kvmi_header *command, int err,
		 const void *data, size_t size)
{
	if (!how->silent)
		kvmi_out_reply(command, err, data, size);
	else if (err && how->tells_errors)
		tell_error(command, err);
}
