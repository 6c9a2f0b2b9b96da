/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_VALUE_H
#define AGENT_VALUE_H

#include "agent/qemu/cpu.h"
#include "decode.h"

/* What the instruction at hand is about to read or write. */

/* What a control register holds, as MOV reads it. */
uint64_t value_of_cr(struct qemu_cpu *cpu, unsigned number);

/* What a CR write would change.  False if its operand cannot be read (it will fault). */
bool value_cr(struct qemu_cpu *cpu, struct site site, uint64_t *old_value, uint64_t *new_value);

/* DR4 and DR5 are DR6 and DR7 (without CR4.DE). */
static inline unsigned value_dr_number(struct site site)
{
	return (site.number | 1) == 5 ? site.number + 2 : site.number;
}

/* The general register of a MOV, in the width of the mode. */
uint64_t value_of_register(struct qemu_cpu *cpu, struct site site);

uint16_t value_port(struct qemu_cpu *cpu, struct site site);
unsigned value_port_size(struct qemu_cpu *cpu, struct site site);	/* bytes */

#endif
