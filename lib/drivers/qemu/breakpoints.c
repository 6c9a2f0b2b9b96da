/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "connection.h"
#include "qemu.h"

static int request(struct scry_vm *vm, const struct scry_agent_breakpoint *breakpoint,
		   uint64_t *number)
{
	struct scry_agent_value reply;
	struct qemu_call call = { .request = breakpoint, .request_len = sizeof(*breakpoint),
				  .reply = &reply, .reply_min = sizeof(reply),
				  .reply_max = sizeof(reply) };
	int ret = qemu_exchange(qemu_of(vm), &call);

	*number = ret < 0 ? 0 : reply.value;
	return ret;
}

int qemu_breakpoint_add(struct scry_vm *vm, const struct scry_breakpoint *breakpoint)
{
	struct scry_agent_breakpoint add = { .header.type = SCRY_AGENT_BREAKPOINT,
					     .breakpoint = *breakpoint };
	uint64_t number = 0;
	int ret = request(vm, &add, &number);

	if (ret < 0)
		return ret;
	if (!number || number > INT32_MAX)
		return scry_fail(SCRY_E_PROTOCOL, "the agent gave a breakpoint no number");
	return (int)number;
}

int qemu_breakpoint_remove(struct scry_vm *vm, int number)
{
	struct scry_agent_breakpoint remove = { .header.type = SCRY_AGENT_BREAKPOINT,
						.remove = number };
	uint64_t unused;

	return request(vm, &remove, &unused);
}
