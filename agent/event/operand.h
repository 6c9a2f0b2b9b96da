/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_OPERAND_H
#define AGENT_OPERAND_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/qemu/cpu.h"

/*
 * The length of the instruction at the vCPU's rip, 0 if it is not known; and does
 * it read and write its operand in one, by LOCK or as XCHG?
 */
unsigned operand_insn_len(struct qemu_cpu *cpu, bool *locked);

/* Does the instruction at the vCPU's rip read what it writes to memory, first? */
bool operand_modifies(struct qemu_cpu *cpu);

/* Is the instruction at the vCPU's rip one of string's that REP repeats? */
bool operand_repeats(struct qemu_cpu *cpu);

/*
 * The linear address of the memory operand of the instruction, of len bytes, at
 * the vCPU's rip.  False if it cannot be found out.
 */
bool operand_address(struct qemu_cpu *cpu, unsigned len, uint64_t *address);

/*
 * Read the 16-bit memory operand of the instruction, of len bytes, at the
 * vCPU's rip.  False if it cannot be read.
 */
bool operand_read16(struct qemu_cpu *cpu, unsigned len, uint16_t *value);

#endif
