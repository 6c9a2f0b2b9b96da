/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <Zydis/Zydis.h>

#include "access.h"
#include "protocol/bits.h"

#define PAGE     4096u
#define ATTR_L   (1u << 13)
#define ATTR_DB  (1u << 14)

struct insn {
	ZydisDecodedInstruction is;
	ZydisDecodedOperand operand[ZYDIS_MAX_OPERAND_COUNT];
	struct scry_regs regs;
	bool code64;
};

static uint64_t register_value(const struct insn *insn, ZydisRegister reg)
{
	ZydisRegister large = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);
	ZyanI8 id = ZydisRegisterGetId(large);

	if (large == ZYDIS_REGISTER_RIP)
		return insn->regs.rip + insn->is.length;
	if (ZydisRegisterGetClass(large) != ZYDIS_REGCLASS_GPR64 || id < 0 || id > 15)
		return 0;
	switch (ZydisRegisterGetWidth(ZYDIS_MACHINE_MODE_LONG_64, reg)) {
	case 16:
		return (uint16_t)insn->regs.gpr[id];
	case 32:
		return (uint32_t)insn->regs.gpr[id];
	}
	return insn->regs.gpr[id];
}

static const struct scry_seg *segment(const struct insn *insn, ZydisRegister reg)
{
	static const ZydisRegister order[] = {
		ZYDIS_REGISTER_ES, ZYDIS_REGISTER_CS, ZYDIS_REGISTER_SS, ZYDIS_REGISTER_DS,
		ZYDIS_REGISTER_FS, ZYDIS_REGISTER_GS,
	};

	for (unsigned i = 0; i < 6; i++)
		if (order[i] == reg)
			return &insn->regs.seg[i];
	return &insn->regs.seg[3];
}

/* PUSH, CALL and their like write below the stack pointer, which Zydis gives as it is before. */
static bool pushes(const struct insn *insn, const ZydisDecodedOperand *o)
{
	return o->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN &&
	       o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE &&
	       (insn->is.meta.category == ZYDIS_CATEGORY_PUSH ||
		insn->is.meta.category == ZYDIS_CATEGORY_CALL);
}

static uint64_t address_of(const struct insn *insn, const ZydisDecodedOperand *o)
{
	uint64_t at = register_value(insn, o->mem.base) +
		      register_value(insn, o->mem.index) * o->mem.scale;

	if (o->mem.disp.has_displacement)
		at += (uint64_t)o->mem.disp.value;
	if (pushes(insn, o))
		at -= o->size / 8;
	if (insn->is.address_width < 64)
		at &= (UINT64_C(1) << insn->is.address_width) - 1;
	if (!insn->code64 || o->mem.segment == ZYDIS_REGISTER_FS ||
	    o->mem.segment == ZYDIS_REGISTER_GS)
		at += segment(insn, o->mem.segment)->base;
	return insn->code64 ? at : (uint32_t)at;
}

static bool is_known(const struct accesses *all, uint64_t entry)
{
	for (unsigned i = 0; i < all->count; i++)
		if (all->at[i].walk && all->at[i].gpa == entry)
			return true;
	return false;
}

/* The entries that lead to gva; the walker reads each once at most for an instruction. */
static void add_walk(struct accesses *all, const struct scry_regs *regs, uint64_t gva)
{
	int level = regs->cr4 & CR4_LA57 ? 5 : 4;
	uint64_t entry = regs->cr3, at;

	if (!(regs->efer & EFER_LMA))
		return;
	for (; level && all->count < ACCESSES_MOST; level--) {
		if (!kvm_entry(entry, level, gva, &at, &entry))
			return;
		if (!is_known(all, at))
			all->at[all->count++] = (struct access){ .gva = gva, .gpa = at, .walk = true,
								 .access = SCRY_READ, .size = 8 };
		if (!kvm_entry_leads_on(entry, level))
			return;
	}
}

/* One access, in its pages. */
static void add(struct kvcpu *k, struct accesses *all, uint64_t gva, uint64_t size, uint32_t access)
{
	while (size) {
		uint64_t left = PAGE - gva % PAGE, part = size < left ? size : left;
		struct access a = { .gva = gva, .access = access, .size = (uint32_t)part };

		add_walk(all, &all->regs, gva);
		if (all->count < ACCESSES_MOST && kvm_physical(k, gva, &a.gpa))
			all->at[all->count++] = a;
		gva += part;
		size -= part;
	}
}

/* An operand that is read and written is two accesses, but for one with LOCK, and XCHG. */
static void add_operand(struct kvcpu *k, struct accesses *all, const struct insn *insn,
			const ZydisDecodedOperand *o, bool locked, uint32_t access)
{
	bool reads = o->actions & ZYDIS_OPERAND_ACTION_MASK_READ;
	bool writes = o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
	uint64_t at = address_of(insn, o);

	if (locked && reads && writes) {
		if (access & SCRY_READ)
			add(k, all, at, o->size / 8, SCRY_READ | SCRY_WRITE);
		return;
	}
	if (access & SCRY_READ && reads)
		add(k, all, at, o->size / 8, SCRY_READ);
	if (access & SCRY_WRITE && writes)
		add(k, all, at, o->size / 8, SCRY_WRITE);
}

static void add_operands(struct kvcpu *k, struct accesses *all, const struct insn *insn,
			 uint32_t access)
{
	bool locked = insn->is.attributes & ZYDIS_ATTRIB_HAS_LOCK ||
		      insn->is.mnemonic == ZYDIS_MNEMONIC_XCHG;

	for (unsigned i = 0; i < insn->is.operand_count; i++) {
		const ZydisDecodedOperand *o = &insn->operand[i];

		if (o->type == ZYDIS_OPERAND_TYPE_MEMORY && o->mem.type != ZYDIS_MEMOP_TYPE_AGEN)
			add_operand(k, all, insn, o, locked, access);
	}
}

static bool decode(struct kvcpu *k, struct insn *insn, uint64_t code)
{
	uint32_t attr = insn->regs.seg[1].attr;
	ZydisMachineMode mode = attr & ATTR_DB ? ZYDIS_MACHINE_MODE_LEGACY_32 :
						 ZYDIS_MACHINE_MODE_LEGACY_16;
	ZydisStackWidth stack = attr & ATTR_DB ? ZYDIS_STACK_WIDTH_32 : ZYDIS_STACK_WIDTH_16;
	uint8_t bytes[ZYDIS_MAX_INSTRUCTION_LENGTH];
	unsigned len = kvm_code(k, code, bytes);
	ZydisDecoder decoder;

	if (insn->code64) {
		mode = ZYDIS_MACHINE_MODE_LONG_64;
		stack = ZYDIS_STACK_WIDTH_64;
	}
	return len && ZYAN_SUCCESS(ZydisDecoderInit(&decoder, mode, stack)) &&
	       ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, len, &insn->is, insn->operand));
}

void accesses_find(struct vcpu *vcpu, struct kvcpu *k, struct accesses *all)
{
	struct insn insn = { 0 };
	uint64_t code;

	kvm_regs_get(vcpu, &insn.regs);
	insn.code64 = insn.regs.efer & EFER_LMA && insn.regs.seg[1].attr & ATTR_L;
	code = insn.code64 ? insn.regs.rip : (uint32_t)(insn.regs.seg[1].base + insn.regs.rip);
	*all = (struct accesses){ .rip = insn.regs.rip, .regs = insn.regs };
	if (!decode(k, &insn, code)) {
		add(k, all, code, 1, SCRY_EXEC);
		return;
	}
	all->insn_len = insn.is.length;
	add(k, all, code, insn.is.length, SCRY_EXEC);
	add_operands(k, all, &insn, SCRY_READ);
	add_operands(k, all, &insn, SCRY_WRITE);
}
