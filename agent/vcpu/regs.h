/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_REGS_H
#define AGENT_REGS_H

#include <scry/regs.h>

#include "agent/qemu/cpu.h"

/*
 * A vCPU's registers, between blocks (vcpu_step_out()), in its own thread.
 */

void regs_get(struct qemu_cpu *cpu, struct scry_regs *regs);

/*
 * Would the processor accept this state?  Only what mask touches is looked at.
 * 0, or SCRY_E_REFUSED with a sentence in text.
 */
int regs_check(struct qemu_cpu *cpu, const struct scry_regs *now, const struct scry_regs *wanted,
	       uint64_t mask, char *text, size_t size);

/* Write the registers in mask; all have been checked. */
void regs_put(struct qemu_cpu *cpu, const struct scry_regs *regs, uint64_t mask);

/* CR8; in a block too. */
uint64_t regs_cr8(struct qemu_cpu *cpu);

/* May rip be this, in the mode the vCPU is in? */
bool rip_valid(struct qemu_cpu *cpu, uint64_t rip);

/* Copy the registers in mask from one struct to another. */
void regs_overlay(struct scry_regs *to, const struct scry_regs *from, uint64_t mask);

#endif
