/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <scry/view.h>

#include "driver.h"
#include "vm.h"

#define GFNS (UINT64_C(1) << 40)	/* Intel SDM volume 3, 4.1.4: 52 address bits at most */

static int check_view(const struct scry_vm *vm, unsigned view)
{
	int ret = scry_need(vm, SCRY_CAP_VIEWS);

	if (ret < 0)
		return ret;
	if (view >= SCRY_VIEWS)
		return scry_fail(SCRY_E_NOTFOUND, "there is no view %u: they are 0 to %d", view,
				 SCRY_VIEWS - 1);
	return 0;
}

static int check_frames(uint64_t gfn, uint64_t count)
{
	if (!count)
		return scry_fail(SCRY_E_INVAL, "no frames are named: count is 0");
	if (gfn >= GFNS || count > GFNS - gfn)
		return scry_fail(SCRY_E_INVAL, "frames 0x%llx to 0x%llx go beyond the highest that "
				 "there can be, 0x%llx", (unsigned long long)gfn,
				 (unsigned long long)(gfn + count - 1),
				 (unsigned long long)(GFNS - 1));
	return 0;
}

int scry_view_create(struct scry_vm *vm, unsigned like)
{
	int ret = check_view(vm, like);

	return ret < 0 ? ret : vm->driver->view_create(vm, like);
}

int scry_view_destroy(struct scry_vm *vm, unsigned view)
{
	int ret = check_view(vm, view);

	if (ret < 0)
		return ret;
	if (!view)
		return scry_fail(SCRY_E_INVAL, "view 0 is always there: it cannot be destroyed");
	return vm->driver->view_destroy(vm, view);
}

int scry_view_protect(struct scry_vm *vm, unsigned view, uint64_t gfn, uint64_t count,
		      uint32_t access)
{
	/* Where there is no other view, accesses in view 0 may be trapped all the same. */
	int ret = view ? check_view(vm, view) : scry_need(vm, SCRY_CAP_EVENT_MEMORY);

	if (!ret)
		ret = check_frames(gfn, count);
	if (ret < 0)
		return ret;
	if (access & ~(SCRY_READ | SCRY_WRITE | SCRY_EXEC))
		return scry_fail(SCRY_E_INVAL, "access 0x%x has bits beyond SCRY_READ, SCRY_WRITE and "
				 "SCRY_EXEC", access);
	return vm->driver->view_protect(vm, view, gfn, count, access);
}

/* Only memory can stand in a frame's place. */
static int check_target(struct scry_vm *vm, uint64_t target)
{
	uint8_t byte;

	if (scry_read_phys(vm, target << 12, &byte, 1) < 0)
		return scry_fail(SCRY_E_INVAL, "frame 0x%llx has no memory that could stand in "
				 "another's place", (unsigned long long)target);
	return 0;
}

int scry_view_remap(struct scry_vm *vm, unsigned view, uint64_t gfn, uint64_t target)
{
	int ret = check_view(vm, view);

	if (!ret)
		ret = check_frames(gfn, 1);
	if (!ret && target - GFNS >= SCRY_FRAMES)
		ret = check_frames(target, 1);
	if (!ret && target != gfn)
		ret = check_target(vm, target);
	return ret < 0 ? ret : vm->driver->view_remap(vm, view, gfn, target);
}

int scry_frame_create(struct scry_vm *vm, uint64_t *gfn)
{
	int ret = scry_need(vm, SCRY_CAP_VIEWS);

	return ret < 0 ? ret : vm->driver->frame_create(vm, gfn);
}

int scry_frame_destroy(struct scry_vm *vm, uint64_t gfn)
{
	int ret = scry_need(vm, SCRY_CAP_VIEWS);

	return ret < 0 ? ret : vm->driver->frame_destroy(vm, gfn);
}

int scry_view_switch(struct scry_vm *vm, unsigned vcpu, unsigned view)
{
	int ret = check_view(vm, view);

	if (!ret)
		ret = scry_check_vcpu(vm, vcpu);
	return ret < 0 ? ret : vm->driver->view_switch(vm, vcpu, view);
}
