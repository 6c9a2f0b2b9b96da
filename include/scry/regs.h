/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_REGS_H
#define SCRY_REGS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct scry_vm;

/*
 * X-macro of the registers in struct scry_regs: X(NAME, "name").  The general
 * registers come in their encoding order (SDM vol. 2, table 2-2), so that
 * gpr[SCRY_REG_RSP] is rsp.
 */
#define SCRY_REGS(X) \
	X(RAX, "rax") X(RCX, "rcx") X(RDX, "rdx") X(RBX, "rbx") \
	X(RSP, "rsp") X(RBP, "rbp") X(RSI, "rsi") X(RDI, "rdi") \
	X(R8, "r8") X(R9, "r9") X(R10, "r10") X(R11, "r11") \
	X(R12, "r12") X(R13, "r13") X(R14, "r14") X(R15, "r15") \
	X(RIP, "rip") X(RFLAGS, "rflags") \
	X(ES, "es") X(CS, "cs") X(SS, "ss") X(DS, "ds") X(FS, "fs") X(GS, "gs") \
	X(LDTR, "ldtr") X(TR, "tr") X(GDTR, "gdtr") X(IDTR, "idtr") \
	X(CR0, "cr0") X(CR2, "cr2") X(CR3, "cr3") X(CR4, "cr4") X(CR8, "cr8") \
	X(XCR0, "xcr0") \
	X(DR0, "dr0") X(DR1, "dr1") X(DR2, "dr2") X(DR3, "dr3") \
	X(DR6, "dr6") X(DR7, "dr7") \
	X(EFER, "efer")

enum scry_reg {
#define SCRY_REG_ENUM(NAME, name) SCRY_REG_##NAME,
	SCRY_REGS(SCRY_REG_ENUM)
#undef SCRY_REG_ENUM
	SCRY_REG_COUNT
};

/* Bit of a register in the mask that scry_regs_set() and replies take. */
#define SCRY_REG_BIT(reg) (UINT64_C(1) << (reg))
#define SCRY_REGS_GPR     UINT64_C(0xffff)
#define SCRY_REGS_ALL     (SCRY_REG_BIT(SCRY_REG_COUNT) - 1)

/*
 * A segment register with its hidden part.  attr is laid out as the access
 * rights of SDM vol. 3, 25.4.1 (VMX guest segment access rights): type 3:0,
 * S 4, DPL 6:5, P 7, AVL 12, L 13, D/B 14, G 15; bit 16 set = unusable.
 * limit is in bytes (granularity already applied).
 */
struct scry_seg {
	uint64_t base;
	uint32_t limit;
	uint16_t selector;
	uint16_t reserved;
	uint32_t attr;
	uint32_t reserved2;
};

/* GDTR or IDTR.  limit in bytes. */
struct scry_table {
	uint64_t base;
	uint32_t limit;
	uint32_t reserved;
};

/* All of a vCPU's architectural registers but MSRs and the XSAVE state. */
struct scry_regs {
	uint64_t gpr[16];		/* by enum scry_reg, RAX to R15 */
	uint64_t rip, rflags;
	struct scry_seg seg[8];		/* ES CS SS DS FS GS LDTR TR */
	struct scry_table gdtr, idtr;
	uint64_t cr0, cr2, cr3, cr4, cr8;
	uint64_t xcr0;
	uint64_t dr[4], dr6, dr7;
	uint64_t efer;
};

/*
 * All the register calls below work on a running vCPU too: it is stopped for
 * the moment of the call.  Any thread may make them.  vcpu counts from 0.
 */

/* Read all registers of one vCPU. */
int scry_regs_get(struct scry_vm *vm, unsigned vcpu, struct scry_regs *regs);

/*
 * Write those registers of *regs whose bit is set in mask (SCRY_REG_BIT()).
 * All or nothing: SCRY_E_REFUSED, with nothing written, for a value that the
 * processor would refuse (a reserved CR4 bit, a non-canonical rip, ...).
 */
int scry_regs_set(struct scry_vm *vm, unsigned vcpu, const struct scry_regs *regs, uint64_t mask);

/* "rax" for SCRY_REG_RAX; NULL if there is no such register.  Static. */
const char *scry_reg_name(enum scry_reg reg);

/* The register of that (lower-case) name, or SCRY_E_INVAL. */
int scry_reg_find(const char *name);

/*
 * The value of one register in *regs: a segment's selector, a table's base, or
 * the register itself.  The pointer that scry_reg_ref() gives is NULL for
 * segments (16 bit wide); it points into *regs.
 */
uint64_t scry_reg_value(const struct scry_regs *regs, enum scry_reg reg);
uint64_t *scry_reg_ref(struct scry_regs *regs, enum scry_reg reg);

/*
 * Model-specific registers, by index as in RDMSR (SDM vol. 4).  SCRY_E_REFUSED
 * where RDMSR or WRMSR would raise #GP in the guest.  QEMU's TCG reads an MSR
 * that it does not model as 0, here as in the guest.
 */
int scry_msr_get(struct scry_vm *vm, unsigned vcpu, uint32_t index, uint64_t *value);
int scry_msr_set(struct scry_vm *vm, unsigned vcpu, uint32_t index, uint64_t value);

/*
 * FPU, SSE, AVX and later state as an XSAVE area in the standard format
 * (SDM vol. 1, 13.4): 512 bytes legacy region, 64 bytes header, then the
 * components of XCR0 at their CPUID leaf 0xd offsets.
 *
 * scry_xsave_get() fills at most size bytes of area and returns the area's
 * whole length, so that size 0 asks for the length.  scry_xsave_set() takes
 * a whole area.
 */
#define SCRY_XSAVE_LEAST 576	/* bytes: of the legacy region and the header */
int scry_xsave_get(struct scry_vm *vm, unsigned vcpu, void *area, size_t size);
int scry_xsave_set(struct scry_vm *vm, unsigned vcpu, const void *area, size_t size);

#ifdef __cplusplus
}
#endif
#endif
