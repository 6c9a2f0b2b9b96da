/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <scry/pt.h>

#include "driver.h"
#include "vm.h"

#define FLAGS (SCRY_PT_CR3 | SCRY_PT_RANGE | SCRY_PT_KERNEL | SCRY_PT_USER)

static int check(const struct scry_vm *vm, const struct scry_pt_opts *opts)
{
	if (opts->sz != sizeof(*opts))
		return scry_fail(SCRY_E_INVAL, "scry_pt_opts.sz must be sizeof(struct scry_pt_opts)");
	if (opts->flags & ~FLAGS)
		return scry_fail(SCRY_E_INVAL, "the flags 0x%x have bits that are no SCRY_PT_...",
				 opts->flags);
	if (opts->flags & SCRY_PT_RANGE && opts->first > opts->last)
		return scry_fail(SCRY_E_INVAL, "the range's first address is behind its last");
	if (opts->ring && (opts->ring < SCRY_PT_RING_LEAST || opts->ring > SCRY_PT_RING_MOST ||
			   opts->ring & (opts->ring - 1)))
		return scry_fail(SCRY_E_INVAL, "a ring's size is a power of two from 64 KiB to 1 GiB");
	return scry_check_vcpus(vm, opts->vcpus);
}

int scry_pt_start(struct scry_vm *vm, const struct scry_pt_opts *opts)
{
	struct scry_pt_opts all = { .sz = sizeof(all) };
	int ret = scry_need(vm, SCRY_CAP_PT);

	if (!ret && opts)
		ret = check(vm, opts);
	if (ret < 0)
		return ret;
	if (opts)
		all = *opts;
	if (!all.ring)
		all.ring = SCRY_PT_RING_DEFAULT;
	return vm->driver->pt_start(vm, &all);
}

int64_t scry_pt_read(struct scry_vm *vm, unsigned vcpu, void *buf, size_t len)
{
	int ret = scry_check_vcpu(vm, vcpu);

	if (!ret)
		ret = scry_need(vm, SCRY_CAP_PT);
	return ret < 0 ? ret : vm->driver->pt_read(vm, vcpu, buf, len);
}

int scry_pt_stop(struct scry_vm *vm)
{
	int ret = scry_need(vm, SCRY_CAP_PT);

	return ret < 0 ? ret : vm->driver->pt_stop(vm);
}
