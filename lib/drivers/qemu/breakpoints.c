/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "connection.h"
#include "qemu.h"

/* The number that the agent gives what has been added. */
static int add(struct scry_vm *vm, const void *request, size_t len)
{
	uint64_t number = 0;
	int ret = qemu_exchange_value(qemu_of(vm), request, len, &number);

	if (ret < 0)
		return ret;
	if (!number || number > INT32_MAX)
		return scry_fail(SCRY_E_PROTOCOL, "the agent gave a break- or watchpoint no number");
	return (int)number;
}

int qemu_breakpoint_add(struct scry_vm *vm, const struct scry_breakpoint *breakpoint)
{
	const struct scry_agent_breakpoint request = { .header.type = SCRY_AGENT_BREAKPOINT,
						       .breakpoint = *breakpoint };

	return add(vm, &request, sizeof(request));
}

int qemu_breakpoint_remove(struct scry_vm *vm, int number)
{
	const struct scry_agent_breakpoint request = { .header.type = SCRY_AGENT_BREAKPOINT,
						       .remove = number };

	return qemu_exchange_value(qemu_of(vm), &request, sizeof(request), NULL);
}

int qemu_watchpoint_add(struct scry_vm *vm, const struct scry_watchpoint *watchpoint)
{
	const struct scry_agent_watchpoint request = { .header.type = SCRY_AGENT_WATCHPOINT,
						       .watchpoint = *watchpoint };

	return add(vm, &request, sizeof(request));
}

int qemu_watchpoint_remove(struct scry_vm *vm, int number)
{
	const struct scry_agent_watchpoint request = { .header.type = SCRY_AGENT_WATCHPOINT,
						       .remove = number };

	return qemu_exchange_value(qemu_of(vm), &request, sizeof(request), NULL);
}
