/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_DRIVER_H
#define SCRY_DRIVER_H

#include <scry/scry.h>

#include "vm.h"

/* Bytes to read, all in one region of the map. */
struct scry_piece {
	const struct scry_mapped_region *region;
	uint64_t gpa;
	void *buf;
	size_t len;
};

#define SCRY_PIECES 64	/* most in one call */

/*
 * One hypervisor's implementation: primitives only.  What can be built on them
 * once (counting, virtual memory, walks, checks of arguments, waiting with a
 * time-out) is built in the core, which has checked vcpu numbers, lengths and
 * pointers before it calls.
 *
 * Each returns 0 or a positive result, or scry_fail(SCRY_E_..., "sentence").
 * A driver without an operation leaves it NULL and says why in cap[].
 */
struct scry_driver {
	const char *scheme;	/* of its URIs */

	/* Attach, and fill vm->caps and what vm.h says; address follows "scheme:". */
	int (*open)(struct scry_vm *vm, const char *address);
	void (*close)(struct scry_vm *vm);
	int (*list)(scry_list_fn fn, void *opaque);

	/*
	 * Fetch the memory map and give it to scry_ram_publish(): called at open
	 * and whenever *life is no longer what the published map saw.
	 */
	int (*map)(struct scry_vm *vm);
	/*
	 * Map (at least) these bytes, all of them memory, and publish that.  Optional:
	 * of a driver that maps what is asked for when it is.  With map_lock held.
	 */
	int (*reach)(struct scry_vm *vm, uint64_t gpa, size_t len);

	/* Physical memory that no mapping reaches, in as few steps as can be. */
	int (*read)(struct scry_vm *vm, const struct scry_map *map, const struct scry_piece *piece,
		    size_t count);
	/* Every write; all of it is memory, and not ROM. */
	int (*write)(struct scry_vm *vm, uint64_t gpa, const void *buf, size_t len);

	/* Bring one vCPU to a halt and let it go: not counted, only ever alternating. */
	int (*vcpu_stop)(struct scry_vm *vm, unsigned vcpu);
	int (*vcpu_go)(struct scry_vm *vm, unsigned vcpu);
	/* Halt or start the guest's clocks; optional. */
	int (*clocks)(struct scry_vm *vm, int stopped);

	/* Does it wait for a reply to an event?  Optional. */
	bool (*vcpu_waits)(struct scry_vm *vm, unsigned vcpu);

	/*
	 * Of a vCPU that is stopped or waits in an event; SCRY_E_STATE if it does
	 * neither (its event was answered meanwhile).
	 */
	int (*regs_get)(struct scry_vm *vm, unsigned vcpu, struct scry_regs *regs);
	int (*regs_set)(struct scry_vm *vm, unsigned vcpu, const struct scry_regs *regs,
			uint64_t mask);
	int (*msr_get)(struct scry_vm *vm, unsigned vcpu, uint32_t index, uint64_t *value);
	int (*msr_set)(struct scry_vm *vm, unsigned vcpu, uint32_t index, uint64_t value);
	int (*xsave_get)(struct scry_vm *vm, unsigned vcpu, void *area, size_t size);
	int (*xsave_set)(struct scry_vm *vm, unsigned vcpu, const void *area, size_t size);
	/* *injection has been checked. */
	int (*inject)(struct scry_vm *vm, unsigned vcpu, const struct scry_injection *injection);

	int (*subscribe)(struct scry_vm *vm, const struct scry_subscription *sub);
	int (*unsubscribe)(struct scry_vm *vm, int subscription);
	/* As the public calls; timeout_ms -1 = for ever. */
	int (*event_wait)(struct scry_vm *vm, struct scry_event *events, size_t max,
			  int timeout_ms);
	void (*event_times)(struct scry_vm *vm, bool on);
	int (*event_fd)(struct scry_vm *vm);
	int (*reply)(struct scry_vm *vm, const struct scry_event *event,
		     const struct scry_reply *reply);

	/* As the public calls; whether there is such a view the driver knows. */
	int (*view_create)(struct scry_vm *vm, unsigned like);
	int (*view_destroy)(struct scry_vm *vm, unsigned view);
	int (*view_protect)(struct scry_vm *vm, unsigned view, uint64_t gfn, uint64_t count,
			    uint32_t access);
	int (*view_remap)(struct scry_vm *vm, unsigned view, uint64_t gfn, uint64_t target);
	int (*view_switch)(struct scry_vm *vm, unsigned vcpu, unsigned view);
	int (*frame_create)(struct scry_vm *vm, uint64_t *gfn);
	int (*frame_destroy)(struct scry_vm *vm, uint64_t gfn);

	/* As the public calls. */
	int (*pt_start)(struct scry_vm *vm, const struct scry_pt_opts *opts);
	int64_t (*pt_read)(struct scry_vm *vm, unsigned vcpu, void *buf, size_t len);
	int (*pt_stop)(struct scry_vm *vm);
	int (*breakpoint_add)(struct scry_vm *vm, const struct scry_breakpoint *breakpoint);
	int (*breakpoint_remove)(struct scry_vm *vm, int number);
	int (*watchpoint_add)(struct scry_vm *vm, const struct scry_watchpoint *watchpoint);
	int (*watchpoint_remove)(struct scry_vm *vm, int number);
};

/* Is there a control register of this number? */
static inline bool scry_is_cr(uint32_t cr)
{
	return cr == 0 || (cr >= 2 && cr <= 4) || cr == 8;
}

/* Could it be canonical?  With 5 levels of page tables 57 bits count. */
static inline bool scry_is_linear(uint64_t address)
{
	return (uint64_t)((int64_t)(address << 7) >> 7) == address;
}

static inline bool scry_is_exception(uint32_t vector)
{
	return vector < 32 && vector != 2;
}

/* All drivers, NULL at the end; the first is the one for a URI without a scheme. */
extern const struct scry_driver *const scry_drivers[];

#endif
