/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_SEGMENT_H
#define AGENT_SEGMENT_H

#include <scry/regs.h>

#include "agent/qemu/cpu.h"

/* Segment registers, ES CS SS DS FS GS LDTR TR by index, in the form of scry/regs.h. */
void segment_get(const struct qemu_cpu *cpu, unsigned index, struct scry_seg *seg);
void segment_put(struct qemu_cpu *cpu, unsigned index, const struct scry_seg *seg);

/* GDTR and IDTR, at cpu_layout.gdt and .idt. */
void table_get(const struct qemu_cpu *cpu, size_t at, struct scry_table *table);
void table_put(struct qemu_cpu *cpu, size_t at, const struct scry_table *table);

#endif
