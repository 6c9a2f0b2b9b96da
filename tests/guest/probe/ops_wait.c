/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Operations that wait: for the outside, for another vCPU, for an interrupt. */
#include "guest.h"

static bool released(volatile struct probe_vcpu *v)
{
	v->beats++;
	asm volatile("pause");
	return v->release || v->stop;
}

void wait_release(volatile struct probe_vcpu *v)
{
	v->state = PROBE_WAITS;
	while (!released(v))
		;
	v->state = PROBE_RUNS;
}

void op_spin(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	(void)op, (void)value;
	wait_release(v);
}

void op_barrier(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	(void)op;
	v->state = PROBE_WAITS;
	while (header->go < value && !v->stop) {
		v->beats++;
		asm volatile("pause");
	}
	v->state = PROBE_RUNS;
}

void op_idle(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	(void)op, (void)value;
	v->state = PROBE_WAITS;
	apic_timer(true);
	while (!released(v))
		asm volatile("sti\n"
			     "hlt\n"
			     "cli\n");
	apic_timer(false);
	v->state = PROBE_RUNS;
}

void op_halt(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	(void)op, (void)value;
	v->state = PROBE_WAITS;
	asm volatile(TRY("hlt"));
	v->state = PROBE_RUNS;
}

void op_hlt(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	(void)op, (void)value;
	apic_ipi(v->apic_id, VECTOR_WAKE);
	asm volatile("sti\n"
		     TRY("hlt")
		     "cli\n");
}

void op_ipi(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	(void)v;
	apic_ipi((uint32_t)op->arg, (uint32_t)value);
}

static uint64_t xgetbv(void)
{
	uint32_t low, high;

	asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return low | (uint64_t)high << 32;
}

#define DUMP_SEG(i, name) asm volatile("mov %%" name ", %w0" : "=r"(selector)); \
	r->seg[i] = (uint16_t)selector

static void dump_segments(volatile struct probe_regs *r)
{
	struct descriptor gdtr, idtr;
	uint64_t selector;

	DUMP_SEG(0, "es");
	DUMP_SEG(1, "cs");
	DUMP_SEG(2, "ss");
	DUMP_SEG(3, "ds");
	DUMP_SEG(4, "fs");
	DUMP_SEG(5, "gs");
	asm volatile("sldt %0" : "=r"(selector));
	r->seg[6] = (uint16_t)selector;
	asm volatile("str %0" : "=r"(selector));
	r->seg[7] = (uint16_t)selector;
	asm volatile("sgdt %0" : "=m"(gdtr));
	asm volatile("sidt %0" : "=m"(idtr));
	r->gdtr_base = gdtr.base;
	r->gdtr_limit = gdtr.limit;
	r->idtr_base = idtr.base;
	r->idtr_limit = idtr.limit;
	r->fs_base = rdmsr(0xc0000100);
	r->gs_base = rdmsr(0xc0000101);
}

static void dump_control(volatile struct probe_regs *r)
{
	r->cr0 = READ_REG("cr0");
	r->cr2 = READ_REG("cr2");
	r->cr3 = READ_REG("cr3");
	r->cr4 = READ_REG("cr4");
	r->cr8 = READ_REG("cr8");
	r->xcr0 = header->features & PROBE_HAS_XSAVE ? xgetbv() : 0;
	r->efer = rdmsr(0xc0000080);
	r->dr[0] = READ_REG("dr0");
	r->dr[1] = READ_REG("dr1");
	r->dr[2] = READ_REG("dr2");
	r->dr[3] = READ_REG("dr3");
	r->dr[6] = READ_REG("dr6");
	r->dr[7] = READ_REG("dr7");
}

static void xsave_load(volatile struct probe_vcpu *v)
{
	if (header->features & PROBE_HAS_XSAVE)
		asm volatile("xrstor64 (%0)" :: "r"(v->xsave_in), "a"(-1), "d"(-1) : "memory");
	else
		asm volatile("fxrstor64 (%0)" :: "r"(v->xsave_in) : "memory");
}

static void xsave_store(volatile struct probe_vcpu *v)
{
	if (header->features & PROBE_HAS_XSAVE)
		asm volatile("xsave64 (%0)" :: "r"(v->xsave_out), "a"(-1), "d"(-1) : "memory");
	else
		asm volatile("fxsave64 (%0)" :: "r"(v->xsave_out) : "memory");
}

/* With arg 1 the XSAVE state too. */
void op_hold(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	(void)value;
	if (op->arg)
		xsave_load(v);
	v->state = PROBE_WAITS;
	hold_regs(v);
	v->state = PROBE_RUNS;
	if (op->arg)
		xsave_store(v);
	dump_segments(&v->regs_out);
	dump_control(&v->regs_out);
}

void op_paging(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	(void)op;
	paging_mode(v, (uint32_t)value);
}
