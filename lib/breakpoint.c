/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <scry/breakpoint.h>

#include "driver.h"
#include "vm.h"

#define FLAGS (SCRY_BREAKPOINT_CR3 | SCRY_BREAKPOINT_PHYSICAL | SCRY_BREAKPOINT_VISIBLE)

static int check(const struct scry_vm *vm, const struct scry_breakpoint *b)
{
	if (!b || b->sz != sizeof(*b))
		return scry_fail(SCRY_E_INVAL, "scry_breakpoint.sz must be sizeof(struct "
				 "scry_breakpoint)");
	if (b->flags & ~FLAGS)
		return scry_fail(SCRY_E_INVAL, "a breakpoint's flags are SCRY_BREAKPOINT_CR3, "
				 "_PHYSICAL and _VISIBLE, not 0x%x", b->flags);
	if (b->flags & SCRY_BREAKPOINT_PHYSICAL && b->address >> 52)
		return scry_fail(SCRY_E_INVAL, "0x%llx is beyond the highest physical address that "
				 "there can be", (unsigned long long)b->address);
	if (!(b->flags & SCRY_BREAKPOINT_PHYSICAL) && !scry_is_linear(b->address))
		return scry_fail(SCRY_E_INVAL, "0x%llx is not canonical: no instruction can be there",
				 (unsigned long long)b->address);
	return scry_check_vcpus(vm, b->vcpus);
}

int scry_breakpoint_add(struct scry_vm *vm, const struct scry_breakpoint *breakpoint)
{
	int ret = scry_need(vm, SCRY_CAP_EVENT_BREAKPOINT);

	if (!ret)
		ret = check(vm, breakpoint);
	return ret < 0 ? ret : vm->driver->breakpoint_add(vm, breakpoint);
}

int scry_breakpoint_remove(struct scry_vm *vm, int number)
{
	int ret = scry_need(vm, SCRY_CAP_EVENT_BREAKPOINT);

	if (ret < 0)
		return ret;
	if (number <= 0)
		return scry_fail(SCRY_E_NOTFOUND, "there is no breakpoint %d", number);
	return vm->driver->breakpoint_remove(vm, number);
}
