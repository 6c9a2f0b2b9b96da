/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "connection.h"
#include "qemu.h"

int qemu_breakpoint_add(struct scry_vm *vm, const struct scry_breakpoint *breakpoint)
{
	struct scry_agent_breakpoint add = { .header.type = SCRY_AGENT_BREAKPOINT,
					     .breakpoint = *breakpoint };
	uint64_t number = 0;
	int ret = qemu_exchange_value(qemu_of(vm), &add, sizeof(add), &number);

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

	return qemu_exchange_value(qemu_of(vm), &remove, sizeof(remove), NULL);
}
