/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Descriptor table registers. */
#include "guest.h"

#define TSS_BUSY (2ull << 40)	/* in its type */

void op_lgdt(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	struct descriptor gdtr = { PROBE_GDT_SIZE - 1, v->gdt + value };

	(void)op;
	asm volatile(TRY("lgdt %0") :: "m"(gdtr));
}

void op_lidt(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	struct descriptor idtr = { idt_descriptor.limit, v->idt + value };

	(void)op;
	asm volatile(TRY("lidt %0") :: "m"(idtr));
}

void op_lldt(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	(void)v, (void)op;
	asm volatile(TRY("lldt %w0") :: "r"(value));
}

void op_ltr(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	struct cpu *cpu = cpu_of(v);

	(void)op;
	cpu->gdt[PROBE_SEL_TSS / 8] &= ~TSS_BUSY;
	cpu->gdt[PROBE_SEL_TSS2 / 8] &= ~TSS_BUSY;
	asm volatile(TRY("ltr %w0") :: "r"(value) : "memory");
}

void op_sgdt(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	struct descriptor seen = { 0 };

	(void)v, (void)value;
	asm volatile(TRY("sgdt %0") : "+m"(seen));
	op->out[0] = seen.base;
	op->out[1] = seen.limit;
}

void op_sidt(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	struct descriptor seen = { 0 };

	(void)v, (void)value;
	asm volatile(TRY("sidt %0") : "+m"(seen));
	op->out[0] = seen.base;
	op->out[1] = seen.limit;
}

void op_sldt(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	uint64_t seen = 0;

	(void)v, (void)value;
	asm volatile(TRY("sldt %0") : "+r"(seen));
	op->out[0] = seen;
}

void op_str(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	uint64_t seen = 0;

	(void)v, (void)value;
	asm volatile(TRY("str %0") : "+r"(seen));
	op->out[0] = seen;
}
