/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Traps, memory accesses, ports, work. */
#include "guest.h"

void op_int3(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	(void)v, (void)op, (void)value;
	asm volatile(TRY("int3"));
}

void op_intn(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	(void)v, (void)op, (void)value;
	asm volatile(TRY("int %0") :: "i"(VECTOR_INTN));
}

void op_ud2(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	(void)v, (void)op, (void)value;
	asm volatile(TRY("ud2"));
}

void op_div(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	uint64_t quotient = op->arg;

	(void)v;
	asm volatile(TRY("divq %1") : "+a"(quotient) : "r"(value), "d"(0ull) : "cc");
	op->out[0] = quotient;
}

#define RFLAGS_TF 0x100

/* The second popfq is the last of the five. */
void op_trace(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	uint64_t seen;

	(void)v, (void)value;
	asm volatile("pushfq\n"
		     "orq %1, (%%rsp)\n"
		     "popfq\n"
		     "nop\n"
		     "pushfq\n"
		     "mov (%%rsp), %0\n"
		     "andq %2, (%%rsp)\n"
		     "popfq\n" : "=&r"(seen) : "i"(RFLAGS_TF), "i"(~RFLAGS_TF) : "cc", "memory");
	op->out[0] = seen & RFLAGS_TF;
}

void op_rdtsc(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	uint32_t low = 0, high = 0;

	(void)v, (void)value;
	asm volatile(TRY("rdtsc") : "+a"(low), "+d"(high));
	op->out[0] = low | (uint64_t)high << 32;
}

void op_invlpg(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	(void)v, (void)op;
	asm volatile(TRY("invlpg (%0)") :: "r"(value) : "memory");
}

void op_in(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	uint64_t seen = 0;

	(void)v, (void)value;
	switch (op->size) {
	case 1:
		asm volatile(TRY("inb %w1, %b0") : "+a"(seen) : "d"(op->arg));
		break;
	case 2:
		asm volatile(TRY("inw %w1, %w0") : "+a"(seen) : "d"(op->arg));
		break;
	default:
		asm volatile(TRY("inl %w1, %k0") : "+a"(seen) : "d"(op->arg));
	}
	op->out[0] = seen;
}

void op_out(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	(void)v;
	switch (op->size) {
	case 1:
		asm volatile(TRY("outb %b0, %w1") :: "a"(value), "d"(op->arg));
		break;
	case 2:
		asm volatile(TRY("outw %w0, %w1") :: "a"(value), "d"(op->arg));
		break;
	default:
		asm volatile(TRY("outl %k0, %w1") :: "a"(value), "d"(op->arg));
	}
}

void op_ins(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	uint8_t byte = (uint8_t)value;
	void *at = &byte;

	(void)v;
	asm volatile(TRY("insb") : "+D"(at), "+m"(byte) : "d"(op->arg));
	op->out[0] = byte;
}

void op_outs(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	uint8_t byte = (uint8_t)value;
	void *at = &byte;

	(void)v;
	asm volatile(TRY("outsb") : "+S"(at) : "d"(op->arg), "m"(byte));
	op->out[0] = (uint64_t)at - (uint64_t)&byte;
}

void op_read(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	uint64_t seen = 0;

	(void)v, (void)value;
	switch (op->size) {
	case 1:
		asm volatile(TRY("movb (%1), %b0") : "+r"(seen) : "r"(op->arg) : "memory");
		break;
	case 2:
		asm volatile(TRY("movw (%1), %w0") : "+r"(seen) : "r"(op->arg) : "memory");
		break;
	case 4:
		asm volatile(TRY("movl (%1), %k0") : "+r"(seen) : "r"(op->arg) : "memory");
		break;
	default:
		asm volatile(TRY("movq (%1), %0") : "+r"(seen) : "r"(op->arg) : "memory");
	}
	op->out[0] = seen;
}

void op_write(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	(void)v;
	switch (op->size) {
	case 1:
		asm volatile(TRY("movb %b0, (%1)") :: "r"(value), "r"(op->arg) : "memory");
		break;
	case 2:
		asm volatile(TRY("movw %w0, (%1)") :: "r"(value), "r"(op->arg) : "memory");
		break;
	case 4:
		asm volatile(TRY("movl %k0, (%1)") :: "r"(value), "r"(op->arg) : "memory");
		break;
	default:
		asm volatile(TRY("movq %0, (%1)") :: "r"(value), "r"(op->arg) : "memory");
	}
}

void op_xadd(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	(void)v;
	asm volatile(TRY("lock xaddq %0, (%1)") : "+r"(value) : "r"(op->arg) : "memory");
	op->out[0] = value;
}

void op_exec(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	struct cpu *cpu = cpu_of(v);
	uint64_t (*fn)(void) = (uint64_t (*)(void))(uintptr_t)op->arg;

	(void)value;
	cpu->exec_target = op->arg;
	op->out[0] = fn();
	cpu->exec_target = 0;
}

void op_checksum(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	(void)v;
	op->out[0] = probe_checksum(value);
}
