/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The server's look at a command and at a reply: the fuzzer's bytes, and none behind them read. */
#include <stdlib.h>
#include <string.h>

#include "agent/kvmi/ids.h"
#include "request_use.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned sum;	/* so that what is read is read */

/* The first two bytes: which generation, a command or a reply, and which. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum kvmi_generation g;
	struct kvmi_request request;
	struct kvmi_reply reply;
	uint8_t *payload;
	int number;

	if (size < 2)
		return 0;
	g = data[0] & 1 ? KVMI_V12 : KVMI_V7;
	number = data[0] & 2 ? kvmi_event_of(g, data[1]) : kvmi_command_of(g, data[1]);
	if (number == KVMI_NONE)
		return 0;
	/* Of its own, so that the sanitizer sees a read behind it. */
	payload = malloc(size - 2 ? size - 2 : 1);
	if (!payload)
		return 0;
	memcpy(payload, data + 2, size - 2);
	if (data[0] & 2)
		kvmi_reply_take(g, (enum kvmi_event)number, payload, size - 2, &reply);
	else if (!kvmi_request_take(g, (enum kvmi_command)number, payload, size - 2, &request))
		sum += request_use(&request);
	free(payload);
	return 0;
}
