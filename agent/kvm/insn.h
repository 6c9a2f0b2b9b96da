/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVM_INSN_H
#define AGENT_KVM_INSN_H

#include <Zydis/Zydis.h>
#include <linux/kvm.h>
#include <stdbool.h>

/* An instruction, and what it accesses with the registers as they are. */
struct insn {
	uint64_t gpr[16], rip;
	struct kvm_sregs system;
	/* insn_decode() */
	uint8_t code[15];
	unsigned code_len, mode;	/* 0 = nothing has been decoded yet */
	bool known;
	ZydisDecodedInstruction is;
	ZydisDecodedOperand operand[ZYDIS_MAX_OPERAND_COUNT];
};

/* What these bytes say, the registers being set, or false; the same again is cheap. */
bool insn_decode(struct insn *insn, const uint8_t *bytes, unsigned len);

/* Where it lies, linear: of the registers alone. */
uint64_t insn_address(const struct insn *insn);

/* What it finds in a general register, or puts there, in gpr. */
uint64_t insn_register(const struct insn *insn, ZydisRegister reg);
void insn_set_register(uint64_t gpr[16], ZydisRegister reg, uint64_t value);
bool insn_is_general(ZydisRegister reg);

/* Has it a prefix that repeats it? */
bool insn_repeats(const struct insn *insn);

struct insn_access {
	uint64_t gva, size;
	uint32_t access;	/* SCRY_READ, SCRY_WRITE; both for one with LOCK */
};

/* Its operands in memory in the order in which they are accessed, at most INSN_ACCESSES. */
#define INSN_ACCESSES (2 * ZYDIS_MAX_OPERAND_COUNT)
unsigned insn_accesses(const struct insn *insn, struct insn_access *accesses);

#endif
