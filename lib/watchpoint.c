/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <scry/watchpoint.h>

#include "driver.h"
#include "vm.h"

static bool is_size(uint32_t size)
{
	return size == 1 || size == 2 || size == 4 || size == 8;
}

static int check(const struct scry_vm *vm, const struct scry_watchpoint *w)
{
	if (!w || w->sz != sizeof(*w))
		return scry_fail(SCRY_E_INVAL, "scry_watchpoint.sz must be sizeof(struct "
				 "scry_watchpoint)");
	if (w->flags & ~SCRY_WATCHPOINT_CR3)
		return scry_fail(SCRY_E_INVAL, "a watchpoint's flags are SCRY_WATCHPOINT_CR3 or none, "
				 "not 0x%x", w->flags);
	if (!is_size(w->size))
		return scry_fail(SCRY_E_INVAL, "a watchpoint is of 1, 2, 4 or 8 bytes, not %u", w->size);
	if (w->address % w->size)
		return scry_fail(SCRY_E_INVAL, "0x%llx is no multiple of %u, the watchpoint's size",
				 (unsigned long long)w->address, w->size);
	if (w->access != SCRY_WRITE && w->access != (SCRY_READ | SCRY_WRITE))
		return scry_fail(SCRY_E_INVAL, "a watchpoint is for SCRY_WRITE, or for SCRY_READ | "
				 "SCRY_WRITE, not 0x%x", w->access);
	if (!scry_is_linear(w->address))
		return scry_fail(SCRY_E_INVAL, "0x%llx is not canonical: nothing can be there",
				 (unsigned long long)w->address);
	return scry_check_vcpus(vm, w->vcpus);
}

int scry_watchpoint_add(struct scry_vm *vm, const struct scry_watchpoint *watchpoint)
{
	int ret = scry_need(vm, SCRY_CAP_EVENT_WATCHPOINT);

	if (!ret)
		ret = check(vm, watchpoint);
	return ret < 0 ? ret : vm->driver->watchpoint_add(vm, watchpoint);
}

int scry_watchpoint_remove(struct scry_vm *vm, int number)
{
	int ret = scry_need(vm, SCRY_CAP_EVENT_WATCHPOINT);

	if (ret < 0)
		return ret;
	if (number <= 0)
		return scry_fail(SCRY_E_NOTFOUND, "there is no watchpoint %d", number);
	return vm->driver->watchpoint_remove(vm, number);
}
