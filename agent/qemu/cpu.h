/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_CPU_H
#define AGENT_CPU_H

#include <stdint.h>
#include <string.h>

#include "qemu.h"

/* Where QEMU keeps a vCPU's registers: offsets into its CPUState, from vmstate.c. */
extern struct cpu_layout {
	size_t regs, eip, eflags, cc_op, hflags, hflags2;
	size_t segs, seg_size, ldt, tr, gdt, idt;
	size_t halted, interrupt_request;
	size_t cr0, cr2, cr3, cr4, dr, efer, xcr0;
	struct {
		size_t selector, base, limit, flags;	/* into one segment */
	} seg;
} cpu_layout;

/* Find them.  0, or refuse(). */
int cpu_layout_init(void);

/* QEMU's own flags about a vCPU's mode (env.hflags), the same in all versions. */
#define HF_CPL          3u
#define HF_INHIBIT_IRQ  (1u << 3)
#define HF_CS32         (1u << 4)
#define HF_PE           (1u << 7)
#define HF_TF           (1u << 8)
#define HF_IOPL         (3u << 12)
#define HF_LMA          (1u << 14)
#define HF_CS64         (1u << 15)
#define HF_VM           (1u << 17)
#define HF_GUEST        (1u << 21)	/* runs a nested guest */

/* The same of env.hflags2. */
#define HF2_NMI         (1u << 2)	/* NMI is blocked until IRET */

#define DR7_GD UINT64_C(0x2000)	/* MOV to and from DR raises #DB */

#define EFLAGS_ARITHMETIC 0x8d5u	/* O S Z A P C */
#define EFLAGS_TF         0x100u
#define EFLAGS_IF         0x200u
#define EFLAGS_DF         0x400u
#define EFLAGS_RF         0x10000u
#define EFLAGS_VM         0x20000u

static inline uint64_t cpu_get64(const struct qemu_cpu *cpu, size_t offset)
{
	return *(const uint64_t *)((const char *)cpu + offset);
}

static inline uint32_t cpu_get32(const struct qemu_cpu *cpu, size_t offset)
{
	return *(const uint32_t *)((const char *)cpu + offset);
}

static inline void cpu_put64(struct qemu_cpu *cpu, size_t offset, uint64_t value)
{
	*(uint64_t *)((char *)cpu + offset) = value;
}

static inline void cpu_put32(struct qemu_cpu *cpu, size_t offset, uint32_t value)
{
	*(uint32_t *)((char *)cpu + offset) = value;
}

/* The general registers, in encoding order as ours. */
static inline uint64_t *cpu_gpr(struct qemu_cpu *cpu)
{
	return (uint64_t *)((char *)cpu + cpu_layout.regs);
}

/* CPUX86State begins with the general registers. */
static inline struct qemu_env *cpu_env(struct qemu_cpu *cpu)
{
	return (struct qemu_env *)((char *)cpu + cpu_layout.regs);
}

static inline uint32_t cpu_hflags(const struct qemu_cpu *cpu)
{
	return cpu_get32(cpu, cpu_layout.hflags);
}

/*
 * RFLAGS while the vCPU is in a block (and cpu_restore_state() has been called):
 * the arithmetic flags and DF are kept apart then.  Between blocks all are in
 * env.eflags.
 */
uint64_t cpu_rflags_in_block(struct qemu_cpu *cpu);

/* The offset of a segment register, ES CS SS DS FS GS LDTR TR by index. */
static inline size_t cpu_segment(unsigned index)
{
	if (index == 6)
		return cpu_layout.ldt;
	return index == 7 ? cpu_layout.tr : cpu_layout.segs + index * cpu_layout.seg_size;
}

/* The linear address of the instruction at the vCPU's rip. */
static inline uint64_t code_address(const struct qemu_cpu *cpu)
{
	uint64_t rip = cpu_get64(cpu, cpu_layout.eip);

	if (cpu_hflags(cpu) & HF_CS64)
		return rip;
	return (uint32_t)(cpu_get64(cpu, cpu_segment(1) + cpu_layout.seg.base) + rip);
}

#endif
