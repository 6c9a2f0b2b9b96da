/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The server's look at a command and at a reply: the fuzzer's bytes, and none behind them read. */
#include <stdlib.h>
#include <string.h>

#include "agent/kvmi/ids.h"
#include "agent/kvmi/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned sum;	/* so that what is read is read */

static void use(const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		sum += bytes[i];
}

static void use_request(const struct kvmi_request *r)
{
	struct kvmi_page_access_entry entry;

	switch (r->command) {
	case KVMI_WRITE_PHYSICAL:
		use(r->physical.data, r->physical.size);
		break;
	case KVMI_SET_PAGE_ACCESS:
		for (unsigned i = 0; i < r->access.count; i++)
			sum += (unsigned)kvmi_access_take(r->access.entries, i, &entry);
		break;
	case KVMI_GET_REGISTERS:
		use(r->msrs.indexes, r->msrs.count * sizeof(uint32_t));
		break;
	case KVMI_SET_XSAVE:
		use(r->xsave, r->size);
		break;
	default:
		break;
	}
}

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
		use_request(&request);
	free(payload);
	return 0;
}
