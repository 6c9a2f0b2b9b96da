/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Control and debug registers, MSRs, CPUID, hypercalls. */
#include "guest.h"

#define CR_WRITE(n) \
void op_cr##n(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value) \
{ \
	asm volatile(TRY("mov %0, %%cr" #n) :: "r"(value) : "memory"); \
	if (!cpu_of(v)->faulted) \
		op->out[0] = READ_REG("cr" #n); \
}

#define DR_WRITE(n) asm volatile(TRY("mov %0, %%dr" #n) :: "r"(value)); break
#define DR_READ(n)  asm volatile(TRY("mov %%dr" #n ", %0") : "+r"(seen)); break

void op_clts(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	(void)value;
	asm volatile(TRY("clts"));
	if (!cpu_of(v)->faulted)
		op->out[0] = READ_REG("cr0");
}

void op_lmsw(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	asm volatile(TRY("lmsw %w0") :: "r"(value));
	if (!cpu_of(v)->faulted)
		op->out[0] = READ_REG("cr0");
}

void op_cpuid(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	uint32_t a = (uint32_t)op->arg, b = 0, c = (uint32_t)value, d = 0;

	(void)v;
	asm volatile(TRY("cpuid") : "+a"(a), "+b"(b), "+c"(c), "+d"(d));
	op->out[0] = a;
	op->out[1] = b;
	op->out[2] = c;
	op->out[3] = d;
}

void op_rdmsr(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	uint32_t low = 0, high = 0;

	(void)v, (void)value;
	asm volatile(TRY("rdmsr") : "+a"(low), "+d"(high) : "c"((uint32_t)op->arg));
	op->out[0] = low | (uint64_t)high << 32;
}

void op_wrmsr(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	(void)v;
	asm volatile(TRY("wrmsr") :: "c"((uint32_t)op->arg), "a"((uint32_t)value),
		     "d"((uint32_t)(value >> 32)) : "memory");
}

void op_xsetbv(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	(void)v;
	asm volatile(TRY("xsetbv") :: "c"((uint32_t)op->arg), "a"((uint32_t)value),
		     "d"((uint32_t)(value >> 32)));
}

void op_xgetbv(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	uint32_t low = 0, high = 0;

	(void)v, (void)value;
	asm volatile(TRY("xgetbv") : "+a"(low), "+d"(high) : "c"((uint32_t)op->arg));
	op->out[0] = low | (uint64_t)high << 32;
}

void op_dr_write(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	(void)v;
	switch (op->arg) {
	case 0: DR_WRITE(0);
	case 1: DR_WRITE(1);
	case 2: DR_WRITE(2);
	case 3: DR_WRITE(3);
	case 6: DR_WRITE(6);
	default: DR_WRITE(7);
	}
}

void op_dr_read(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	uint64_t seen = 0;

	(void)v, (void)value;
	switch (op->arg) {
	case 0: DR_READ(0);
	case 1: DR_READ(1);
	case 2: DR_READ(2);
	case 3: DR_READ(3);
	case 6: DR_READ(6);
	default: DR_READ(7);
	}
	op->out[0] = seen;
}

void op_vmcall(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	uint64_t a = op->arg;

	(void)v;
	asm volatile(TRY("vmcall") : "+a"(a) : "b"(value), "D"(value), "S"(0) : "rcx", "rdx", "memory");
	op->out[0] = a;
}

void op_vmmcall(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	uint64_t a = op->arg;

	(void)v;
	asm volatile(TRY("vmmcall") : "+a"(a) : "b"(value), "D"(value), "S"(0) : "rcx", "rdx", "memory");
	op->out[0] = a;
}

#define MSR_EFER  0xc0000080
#define MSR_STAR  0xc0000081
#define MSR_LSTAR 0xc0000082
#define EFER_SCE  1

/* At CPL 0; both ends of it are the same segments. */
void op_syscall(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	uint64_t efer = rdmsr(MSR_EFER), star = rdmsr(MSR_STAR), lstar = rdmsr(MSR_LSTAR);
	uint64_t rcx = MSR_LSTAR;

	(void)v, (void)op, (void)value;
	wrmsr(MSR_EFER, efer | EFER_SCE);
	wrmsr(MSR_STAR, (uint64_t)PROBE_SEL_CODE << 32);
	asm volatile("lea 2f(%%rip), %%rax\n"
		     "mov %%rax, %%rdx\n"
		     "shr $32, %%rdx\n"
		     "wrmsr\n"
		     TRY("syscall")
		     : "+c"(rcx) :: "rax", "rdx", "r11", "memory");
	wrmsr(MSR_LSTAR, lstar);
	wrmsr(MSR_STAR, star);
	wrmsr(MSR_EFER, efer);
}

CR_WRITE(0)
CR_WRITE(3)
CR_WRITE(4)
CR_WRITE(8)
