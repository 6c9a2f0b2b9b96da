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
	ZydisDecodedInstruction is;
	ZydisDecodedOperand operand[ZYDIS_MAX_OPERAND_COUNT];
};

/* What these bytes say, the registers being set; false = no instruction. */
bool insn_decode(struct insn *insn, const uint8_t *bytes, unsigned len);

/* Where it lies, linear: of the registers alone. */
uint64_t insn_address(const struct insn *insn);

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
