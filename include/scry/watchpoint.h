/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_WATCHPOINT_H
#define SCRY_WATCHPOINT_H

#include <stddef.h>
#include <stdint.h>

#include <scry/event.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Hidden watchpoints: what a processor's debug registers can watch, at full speed for
 * all else.  Nothing is written to the guest's memory, and its own debug registers
 * keep their values, and those that it has in use now their effect; what it sets up later
 * has none under KVM, until the last is removed.  There each is in force on all vCPUs: who
 * is left out by `vcpus` or `cr3` below pays for its hits all the same.
 */

#define SCRY_WATCHPOINT_CR3 1u	/* only in the address space of cr3 */

/* Watchpoints at a time; fewer where the guest has debug registers in use itself. */
#define SCRY_WATCHPOINTS 4

struct scry_watchpoint {
	size_t sz;		/* sizeof(struct scry_watchpoint) */
	uint64_t address;	/* linear; a multiple of size */
	uint64_t cr3;		/* as CR3 holds it; bits 0 to 11 and 63 do not count */
	uint64_t vcpus;		/* bit n = vCPU n; 0 = all */
	uint32_t size;		/* bytes: 1, 2, 4 or 8 */
	uint32_t access;	/* SCRY_WRITE, or SCRY_READ | SCRY_WRITE */
	uint32_t flags;		/* SCRY_WATCHPOINT_... */
	uint32_t reserved;
};

/*
 * Set one.  When a vCPU has executed an instruction that accesses any of these bytes
 * there is a SCRY_EVENT_WATCHPOINT, with no subscription.  Returns the watchpoint's number,
 * 1 to SCRY_WATCHPOINTS; numbers of those removed come again.  From any thread; in force on
 * all vCPUs on return.  SCRY_E_NOMEM when there are too many, SCRY_E_STATE when there
 * is no debug register left: the guest's own come first, and a breakpoint in one gives way
 * where it can be met otherwise.
 * Sources: Intel SDM volume 3, 18.2; AMD APM volume 2, 13.1.
 */
int scry_watchpoint_add(struct scry_vm *vm, const struct scry_watchpoint *watchpoint);

/* Take it away.  An event already under way may still be delivered. */
int scry_watchpoint_remove(struct scry_vm *vm, int number);

#ifdef __cplusplus
}
#endif
#endif
