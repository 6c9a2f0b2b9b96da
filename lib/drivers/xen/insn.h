/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_XEN_INSN_H
#define SCRY_XEN_INSN_H

#include <stdbool.h>
#include <stdint.h>

#include "hypercall.h"

struct scry_as;
struct scry_vm;
struct xen_views;

/* What Xen does not tell of an instruction. */
struct xen_insn {
	uint8_t len;		/* 0 = not known */
	uint8_t size;		/* bytes of its operand in memory, 0 = none or not known */
	bool reads;		/* that operand, perhaps before it writes it */
	bool locked;		/* reads and writes it at once */
	bool clts;
};

/*
 * Of the instruction at the registers' rip, read from the guest's memory as the
 * view shows it.  *as is kept for the next time.
 */
void xen_insn_read(struct scry_vm *vm, struct scry_as **as, const struct xen_views *views,
		   unsigned view, const struct vm_event_regs_x86 *regs, struct xen_insn *insn);

/* Is it a HLT? */
bool xen_insn_is_hlt(struct scry_vm *vm, struct scry_as **as, const struct xen_views *views,
		     unsigned view, const struct vm_event_regs_x86 *regs);

static inline unsigned xen_cpl(const struct vm_event_regs_x86 *regs)
{
	return regs->ss.ar >> 5 & 3;
}

#endif
