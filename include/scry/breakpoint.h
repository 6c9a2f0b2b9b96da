/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_BREAKPOINT_H
#define SCRY_BREAKPOINT_H

#include <stddef.h>
#include <stdint.h>

#include <scry/event.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Hidden breakpoints: nothing is written to the guest's memory, so that a guest
 * which reads its own code, or checks a sum of it, sees what it always saw, and
 * nothing is left there when the client dies.
 */

#define SCRY_BREAKPOINT_CR3      1u	/* only in the address space of cr3 */
#define SCRY_BREAKPOINT_PHYSICAL 2u	/* address is guest-physical: wherever it is mapped */

/*
 * It need not be hidden: where that makes it faster (stock KVM, beyond the four of the debug
 * registers, in pages that only CPL 0 may access) the guest, if it reads this code, may find
 * another instruction there.  Its memory stays as it was, and what it writes there counts.
 * For the text of a kernel: a page that a device or another mapping for CPL 3 does not reach.
 */
#define SCRY_BREAKPOINT_VISIBLE  4u

/* Breakpoints at a time. */
#define SCRY_BREAKPOINTS 4096

struct scry_breakpoint {
	size_t sz;		/* sizeof(struct scry_breakpoint) */
	uint64_t address;	/* of an instruction's first byte; linear, or physical */
	uint64_t cr3;		/* as CR3 holds it; bits 0 to 11 and 63 do not count */
	uint64_t vcpus;		/* bit n = vCPU n; 0 = all */
	uint32_t flags;		/* SCRY_BREAKPOINT_... */
	uint32_t reserved;
};

/*
 * Plant one.  Each time that a vCPU is about to execute the instruction there is
 * a SCRY_EVENT_BREAKPOINT, with no subscription; its replies are those of an
 * instruction's event: SCRY_CONTINUE executes the instruction.  Returns the
 * breakpoint's number (positive).  Several at one address are one event, of the
 * lowest number; numbers of those removed come again.  From any thread; in force on all vCPUs on return.
 * SCRY_E_NOMEM when there are too many.
 */
int scry_breakpoint_add(struct scry_vm *vm, const struct scry_breakpoint *breakpoint);

/* Take it away.  An event already under way may still be delivered. */
int scry_breakpoint_remove(struct scry_vm *vm, int number);

#ifdef __cplusplus
}
#endif
#endif
