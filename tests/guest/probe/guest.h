/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GUEST_H
#define GUEST_H

/* What the probe's own files share. */
#include "probe.h"

#define CR0_PE 0x1
#define CR0_ET 0x10
#define CR0_PG 0x80000000
#define CR0_BOOT 0x80010033		/* PG WP NE ET MP PE */
#define CR4_PSE 0x10
#define CR4_PAE 0x20
#define CR4_PGE 0x80
#define CR4_OSFXSR 0x200
#define CR4_OSXMMEXCPT 0x400
#define CR4_LA57 0x1000
#define CR4_OSXSAVE 0x40000
#define EFER_LME 0x100
#define EFER_NXE 0x800

#define PTE_P 0x1
#define PTE_W 0x2
#define PTE_U 0x4
#define PTE_PWU 0x7
#define PTE_PCD 0x10
#define PTE_PS 0x80
#define PTE_G 0x100

#define LAPIC 0xfee00000
#define AP_START 0x8000			/* where a started processor begins, below 1 MiB */
#define STACK_SHIFT 14

#define VECTOR_WAKE 0x40		/* by the local APIC */
#define VECTOR_INTN 0x42		/* int n */
#define VECTOR_LEAVE_USER 0x81

#define OFFSET_CPU_RSP0 116
#define LEGACY_CR3 4
#define LEGACY_CR4 8
#define LEGACY_CR0 12
#define LEGACY_COUNT 16
#define LEGACY_BLOCK 20

#ifdef __ASSEMBLER__
	/* What a C function must give back as it was. */
	.macro push_saved
	.irp reg, rbx, rbp, r12, r13, r14, r15
	push %\reg
	.endr
	.endm

	.macro pop_saved
	.irp reg, r15, r14, r13, r12, rbp, rbx
	pop %\reg
	.endr
	.endm
#else
#include <stdbool.h>

struct descriptor {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

struct tss {
	uint32_t reserved;
	uint64_t rsp[3];
	uint64_t reserved2, ist[7], reserved3;
	uint16_t reserved4, io_base;
} __attribute__((packed));

/* A vCPU's tables, and its word to the exception handler. */
struct cpu {
	_Alignas(16) uint64_t gdt[PROBE_GDT_SIZE / 8];
	struct tss tss;
	uint64_t ldt[2];
	volatile bool faulted;	/* the operation under way raised an exception */
	volatile uint64_t exec_target;	/* address under call, 0 = none */
	_Alignas(16) uint8_t user_stack[4096];
};

_Static_assert(offsetof(struct cpu, tss.rsp[0]) == OFFSET_CPU_RSP0, "rsp0");

/* entry.S pushes it. */
struct frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};

/* What legacy_paging() is to do; below 4 GiB, as all it names. */
struct legacy {
	uint32_t table;		/* of struct probe_xlat */
	uint32_t cr3, cr4, cr0;
	uint32_t count;		/* of table */
	uint32_t block;		/* struct probe_vcpu, whose `release` ends it */
};

/* An operation: what it does in this round, with `value` for its value. */
typedef void (*op_fn)(volatile struct probe_vcpu *v, volatile struct probe_op *op,
		      uint64_t value);

#define header ((volatile struct probe_header *)PROBE_GPA)

static inline volatile struct probe_vcpu *probe_vcpu(unsigned index)
{
	return (volatile struct probe_vcpu *)(uintptr_t)(PROBE_VCPU_GPA +
							 (uint64_t)index * PROBE_VCPU_SIZE);
}

/* An exception at label `at` goes on at label `to`, with cpu.faulted set. */
#define EXTABLE(at, to) \
	".pushsection .extable, \"a\"\n" \
	".quad " #at ", " #to "\n" \
	".popsection\n"

/* One instruction that may fault. */
#define TRY(insn) "1: " insn "\n2:\n" EXTABLE(1b, 2b)

static inline uint64_t rdmsr(uint32_t index)
{
	uint32_t low, high;

	asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
	return low | (uint64_t)high << 32;
}

static inline void wrmsr(uint32_t index, uint64_t value)
{
	asm volatile("wrmsr" :: "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

static inline void cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	asm volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
		     : "a"(leaf), "c"(subleaf));
}

static inline uint64_t rdtsc(void)
{
	uint32_t low, high;

	asm volatile("rdtsc" : "=a"(low), "=d"(high));
	return low | (uint64_t)high << 32;
}

#define READ_REG(name) ({ uint64_t v_; asm volatile("mov %%" name ", %0" : "=r"(v_)); v_; })

/* boot.S, modes.S, entry.S */
extern char ap_start[], ap_start_end[], text_start[], text_end[];
extern const uint64_t boot_gdt[];
extern uint64_t pml4[512], identity_pd[2048];
extern uint32_t boot_ticket;
void park(void) __attribute__((noreturn));
/* serve_this() on an empty stack. */
void serve_anew(uint64_t stack_top) __attribute__((noreturn));
/* Reload CR3 and CR4 with paging off in between, as LA57 needs it. */
void long_paging(uint64_t cr3, uint64_t cr4);
/* Leave long mode for the paging that *l says, read its table, wait, come back. */
void legacy_paging(const struct legacy *l);
/* Call op at CPL 3. */
void user_call(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value,
	       op_fn fn, struct cpu *cpu, void *user_stack_top);
/* Load v->regs_in, wait for v->release, fill v->regs_out's first words. */
void hold_regs(volatile struct probe_vcpu *v);
extern char hold_alt[], patch_page[], patch_inline_page[], patch_inline_imm[];
extern const uint64_t trap_stubs[32];
extern char stub_wake[], stub_intn[], stub_leave_user[];

/* main.c */
void boot_main(uint32_t ticket);
void serve_this(void) __attribute__((noreturn));	/* after a panic */

/* cpu.c: the vCPU's tables and registers as after boot */
struct cpu *cpu_of(const volatile struct probe_vcpu *v);
volatile struct probe_vcpu *this_vcpu(void);
void cpu_init(volatile struct probe_vcpu *v);
void cpu_reset(volatile struct probe_vcpu *v);

/* trap.c */
extern struct descriptor idt_descriptor;
void trap_init(void);
void trap(struct frame *f);
void panic(const char *text) __attribute__((noreturn));

/* smp.c */
uint32_t apic_id(void);
void apic_enable(void);
void apic_eoi(void);
void apic_ipi(uint32_t id, uint32_t low);
void apic_timer(bool on);
/* Start all other processors; how many they are all together. */
unsigned smp_start(void);
/* Wait for the count, then this processor's place in the order of APIC ids. */
unsigned smp_join(uint32_t ticket);
/* Let the others have their places, and wait until they serve. */
void smp_open(unsigned count);
void smp_ready(void);

/* paging.c */
extern uint64_t pml5[512];
void paging_init(void);
void paging_mode(volatile struct probe_vcpu *v, uint32_t mode);

/* ops.c: the table, and one turn */
void op_run(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t round);

/* wait.c */
void wait_release(volatile struct probe_vcpu *v);

#define OP_DECLARE(NAME, name, text) \
	void op_##name(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value);
PROBE_OPS(OP_DECLARE)
#undef OP_DECLARE
#endif
#endif
