/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PROBE_H
#define PROBE_H

/*
 * What the probe (a bare-metal guest) and the tests that drive it from outside
 * have in common.  The probe's mailbox lies at fixed guest-physical addresses,
 * one header and then one block a vCPU; each vCPU polls its own block.  So the
 * channel needs no device, no timer and no interrupt, and works on every
 * hypervisor whose driver reads and writes guest memory.
 *
 * A command is a list of up to PROBE_LIST operations that the vCPU goes through
 * `repeat` times.  Each operation counts what it did, what faulted, and keeps
 * what it saw, so that lost and doubled events show.
 */
#define PROBE_GPA        0x110000	/* struct probe_header */
#define PROBE_VCPU_GPA   0x112000	/* struct probe_vcpu, PROBE_VCPU_SIZE apart */
#define PROBE_VCPU_SIZE  0x2000
#define PROBE_VCPUS      8
#define PROBE_LIST       16

/* Where no machine of these tests has RAM; below 2^39. */
#define PROBE_NOWHERE    0x7ffff00000

/* All RAM below 4 GiB a second time, in the upper half. */
#define PROBE_ALIAS      0xffff800000000000

/* Offsets that assembly uses: in struct probe_vcpu, in struct probe_xlat. */
#define PROBE_V_SELF      8
#define PROBE_V_RELEASE   16
#define PROBE_V_STATE     44
#define PROBE_V_BEATS     48
#define PROBE_V_SAVED_RSP 392
#define PROBE_V_REGS_IN   4096
#define PROBE_V_REGS_OUT  4224
#define PROBE_V_PATH      4352
#define PROBE_V_RFLAGS    4360
#define PROBE_V_WAITS     2		/* PROBE_WAITS */
#define PROBE_X_FAULT     32
#define PROBE_X_SEEN      48
#define PROBE_X_SIZE      56

/* Selectors in each vCPU's GDT. */
#define PROBE_SEL_CODE     0x08
#define PROBE_SEL_DATA     0x10
#define PROBE_SEL_CODE32   0x18
#define PROBE_SEL_USERDATA 0x23
#define PROBE_SEL_USERCODE 0x2b
#define PROBE_SEL_CODE2    0x30		/* the same segments again */
#define PROBE_SEL_DATA2    0x38
#define PROBE_SEL_TSS      0x40
#define PROBE_SEL_LDT      0x50
#define PROBE_SEL_TSS2     0x60		/* the same TSS again */
#define PROBE_GDT_SIZE     0x70

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>

#define PROBE_MAGIC   0x626f727079726373	/* "scryprob" */
#define PROBE_VERSION 1
#define PROBE_STAMP   0x5ca1ab1e00000000	/* XOR its gpa: each word of a target page */

/* X(NAME, name, "what it does"): value is of the round, see struct probe_op. */
#define PROBE_OPS(X) \
	X(NOP,      nop,      "nothing") \
	X(RESET,    reset,    "every register that other operations change as after boot") \
	X(CR0,      cr0,      "mov to CR0; out: CR0 afterwards") \
	X(CR3,      cr3,      "mov to CR3; out: CR3 afterwards") \
	X(CR4,      cr4,      "mov to CR4; out: CR4 afterwards") \
	X(CR8,      cr8,      "mov to CR8; out: CR8 afterwards") \
	X(CLTS,     clts,     "clts; out: CR0 afterwards") \
	X(LMSW,     lmsw,     "lmsw; out: CR0 afterwards") \
	X(CPUID,    cpuid,    "cpuid, leaf arg, subleaf value; out: eax, ebx, ecx, edx") \
	X(RDMSR,    rdmsr,    "rdmsr of arg; out: the value") \
	X(WRMSR,    wrmsr,    "wrmsr of value to arg") \
	X(XSETBV,   xsetbv,   "xsetbv of value to register arg") \
	X(XGETBV,   xgetbv,   "xgetbv of register arg; out: the value") \
	X(DR_WRITE, dr_write, "mov of value to DR arg") \
	X(DR_READ,  dr_read,  "mov from DR arg; out: the value") \
	X(LGDT,     lgdt,     "lgdt of the same table, at its address + value") \
	X(LIDT,     lidt,     "lidt of the same table, at its address + value") \
	X(LLDT,     lldt,     "lldt of selector value") \
	X(LTR,      ltr,      "ltr of selector value") \
	X(SGDT,     sgdt,     "sgdt; out: base, limit") \
	X(SIDT,     sidt,     "sidt; out: base, limit") \
	X(SLDT,     sldt,     "sldt; out: selector") \
	X(STR,      str,      "str; out: selector") \
	X(VMCALL,   vmcall,   "vmcall, rax = arg, rbx = rdi = value; out: rax") \
	X(VMMCALL,  vmmcall,  "vmmcall, rax = arg, rbx = rdi = value; out: rax") \
	X(SYSCALL,  syscall,  "syscall, to the instruction behind it") \
	X(INT3,     int3,     "int3") \
	X(INTN,     intn,     "int 0x42") \
	X(UD2,      ud2,      "ud2") \
	X(DIV,      div,      "div of arg by value; out: the quotient") \
	X(TRACE,    trace,    "its own TF over five instructions; out: TF as pushf shows it") \
	X(RDTSC,    rdtsc,    "rdtsc; out: the value") \
	X(INVLPG,   invlpg,   "invlpg of address value") \
	X(IN,       in,       "in of `size` bytes from port arg; out: the value") \
	X(OUT,      out,      "out of value, `size` bytes, to port arg") \
	X(INS,      ins,      "insb from port arg to a byte of value; out: that byte") \
	X(OUTS,     outs,     "outsb to port arg; out: how far rsi has gone") \
	X(READ,     read,     "read of `size` bytes at address arg; out: the value") \
	X(WRITE,    write,    "write of value, `size` bytes, at address arg") \
	X(XADD,     xadd,     "locked add of value, 8 bytes, at address arg; out: before") \
	X(EXEC,     exec,     "call of address arg; out: what it returned") \
	X(CHECKSUM, checksum, "probe_checksum(value); out: the sum") \
	X(HLT,      hlt,      "hlt that an interrupt already pending ends") \
	X(IPI,      ipi,      "interrupt command register: APIC id arg, low word value") \
	X(BARRIER,  barrier,  "wait until header.go is at least value") \
	X(SPIN,     spin,     "busy until released") \
	X(IDLE,     idle,     "hlt, woken by the APIC timer, until released") \
	X(HALT,     halt,     "hlt with interrupts off: only NMI or INIT ends it") \
	X(HOLD,     hold,     "load regs_in (arg 1: and xsave_in), busy until released, fill _out") \
	X(PAGING,   paging,   "switch to paging mode value, read its table, until released")

enum probe_op_code {
#define PROBE_OP_ENUM(NAME, name, text) PROBE_OP_##NAME,
	PROBE_OPS(PROBE_OP_ENUM)
#undef PROBE_OP_ENUM
	PROBE_OP_COUNT
};

#define PROBE_USER  1u	/* carry it out at CPL 3 */
#define PROBE_CHECK 2u	/* out[0] other than `expect` is a mismatch */

/* In round i (from 0) value is (value + i * step) ^ (i odd ? toggle : 0). */
struct probe_op {
	uint16_t code, flags;
	uint32_t size;
	uint64_t arg, value, step, toggle, expect;
	/* The guest writes: */
	uint64_t count;		/* how often it was done */
	uint64_t faults;	/* how often it raised an exception instead */
	uint64_t mismatches;
	uint64_t sum;		/* of all out[0] */
	uint64_t out[4];	/* of the last time */
	uint64_t reserved[2];
};

enum probe_state {
	PROBE_IDLE,	/* polls for a command */
	PROBE_RUNS,
	PROBE_WAITS,	/* in BARRIER, SPIN, IDLE, HALT, HOLD or PAGING */
	PROBE_PANIC,	/* an exception nobody expected (see last_*), until `stop` */
};

/* What HOLD saw when it was released. */
struct probe_regs {
	uint64_t gpr[16];	/* encoding order */
	uint64_t path;		/* 1 = as ever, 2 = through header.hold_alt */
	uint64_t rflags;
	uint64_t cr0, cr2, cr3, cr4, cr8, xcr0, efer;
	uint64_t dr[8];
	uint64_t fs_base, gs_base;
	uint64_t gdtr_base, idtr_base;
	uint16_t gdtr_limit, idtr_limit;
	uint16_t seg[8];	/* ES CS SS DS FS GS LDTR TR */
};

struct probe_vcpu {
	uint32_t index, apic_id;
	uint64_t self;			/* address of this block */
	/* The outside writes: */
	uint32_t release;		/* 1 = end SPIN, IDLE, HOLD, PAGING */
	uint32_t stop;			/* 1 = end the list after the operation under way */
	uint32_t sequence;		/* stepped last: the command is complete */
	uint32_t op_count;
	uint64_t repeat;
	/* The guest writes: */
	uint32_t done;			/* sequence of the last command finished */
	uint32_t state;			/* enum probe_state */
	uint64_t beats;			/* steps as long as the vCPU polls, waits or works */
	uint64_t rounds;		/* of the list that were finished */
	uint64_t interrupts;
	uint64_t exceptions[32];	/* by vector; RESET clears them */
	uint64_t last_vector, last_error, last_rip, last_cr2;
	uint64_t gdt, idt, tss, ldt;	/* where this vCPU has them */
	uint64_t saved_rsp;		/* of HOLD */
	_Alignas(64) struct probe_op op[PROBE_LIST];
	_Alignas(4096) uint64_t regs_in[16];	/* general registers, encoding order */
	struct probe_regs regs_out;
	_Alignas(64) uint8_t xsave_in[1024], xsave_out[1024];
};

/* As enum scry_paging_mode and enum scry_walk_fault of libscry. */
enum probe_paging {
	PROBE_PAGING_OFF,
	PROBE_PAGING_32BIT,
	PROBE_PAGING_PAE,
	PROBE_PAGING_4LEVEL,
	PROBE_PAGING_5LEVEL,
	PROBE_PAGING_MODES
};

enum probe_walk_fault {
	PROBE_WALK_OK,
	PROBE_WALK_NOT_PRESENT,
	PROBE_WALK_RESERVED_BIT,
	PROBE_WALK_NON_CANONICAL,
	PROBE_WALK_NO_MEMORY,
};

/* One address whose translation is known by construction. */
struct probe_xlat {
	uint64_t gva, gpa, page_size;
	uint32_t flags;		/* SCRY_PAGE_* without ACCESSED and DIRTY */
	uint32_t pkey;
	uint32_t fault;		/* enum probe_walk_fault */
	uint32_t vector;	/* the guest: exception that its read raised, 0 = none */
	uint64_t error;		/* its error code */
	uint64_t seen;		/* the guest: the 8 bytes that it read there */
};

#define PROBE_HAS_LA57  1u
#define PROBE_HAS_1GIB  2u
#define PROBE_HAS_XSAVE 4u
#define PROBE_HAS_AVX   8u

struct probe_header {
	uint64_t magic;			/* written last: the probe is ready */
	uint32_t version, vcpus;
	uint32_t features;		/* PROBE_HAS_* */
	uint32_t go;			/* the outside writes: for BARRIER */
	uint64_t cr0, cr4, efer, xcr0;	/* after boot */
	uint64_t cr3[2];		/* two roots with the same contents; [0] after boot */
	uint64_t targets;		/* PROBE_TARGETS pages of PROBE_STAMP ^ gpa */
	uint64_t scratch;		/* PROBE_TARGETS pages to write, all 0 */
	uint64_t patch;			/* a page with a function: mov $1,%eax; ret */
	uint64_t patch_inline;		/* another: cpuid; mov $1,%eax; ret */
	uint64_t patch_imm;		/* offset of its 4-byte 1 */
	uint64_t hold_alt;		/* another way out of HOLD, for rip */
	uint64_t text, text_size;	/* the probe's own code */
	struct {
		uint64_t table;		/* struct probe_xlat[count] */
		uint64_t count;
	} xlat[PROBE_PAGING_MODES];
};

#define PROBE_TARGETS 8

_Static_assert(sizeof(struct probe_op) == 128, "probe_op");
_Static_assert(offsetof(struct probe_xlat, fault) == PROBE_X_FAULT, "probe_xlat.fault");
_Static_assert(offsetof(struct probe_xlat, seen) == PROBE_X_SEEN, "probe_xlat.seen");
_Static_assert(sizeof(struct probe_xlat) == PROBE_X_SIZE, "probe_xlat");
_Static_assert(sizeof(struct probe_header) <= PROBE_VCPU_GPA - PROBE_GPA, "probe_header");
_Static_assert(offsetof(struct probe_vcpu, release) == PROBE_V_RELEASE, "probe_vcpu.release");
_Static_assert(offsetof(struct probe_vcpu, state) == PROBE_V_STATE &&
	       (int)PROBE_WAITS == PROBE_V_WAITS, "probe_vcpu.state");
_Static_assert(offsetof(struct probe_vcpu, beats) == PROBE_V_BEATS, "probe_vcpu.beats");
_Static_assert(offsetof(struct probe_vcpu, regs_in) == PROBE_V_REGS_IN, "probe_vcpu.regs_in");
_Static_assert(offsetof(struct probe_vcpu, regs_out) == PROBE_V_REGS_OUT, "probe_vcpu.regs_out");
_Static_assert(offsetof(struct probe_vcpu, saved_rsp) == PROBE_V_SAVED_RSP, "saved_rsp");
_Static_assert(offsetof(struct probe_vcpu, regs_out.path) == PROBE_V_PATH, "path");
_Static_assert(offsetof(struct probe_vcpu, regs_out.rflags) == PROBE_V_RFLAGS, "rflags");
_Static_assert(offsetof(struct probe_vcpu, xsave_in) % 64 == 0, "XSAVE alignment");
_Static_assert(sizeof(struct probe_vcpu) == PROBE_VCPU_SIZE, "probe_vcpu");

/* Work whose result shows if a register, a flag or a byte of memory was lost. */
static inline uint64_t probe_checksum(uint64_t rounds)
{
	uint64_t box[32], x = 0x9e3779b97f4a7c15;

	for (unsigned i = 0; i < 32; i++)
		box[i] = i;
	for (uint64_t i = 0; i < rounds; i++) {
		x = x * 6364136223846793005 + 1442695040888963407;
		box[x >> 59] ^= x + (x < box[(x >> 32) & 31]);
		x ^= box[i & 31];
	}
	return x;
}
#endif
#endif
