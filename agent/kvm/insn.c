/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <scry/view.h>
#include <string.h>

#include "insn.h"
#include "kvm.h"
#include "protocol/bits.h"

bool kvm_is_64bit(const struct kvm_sregs *s)
{
	return s->cs.l && s->efer & EFER_LMA;
}

static uint64_t linear(const struct kvm_sregs *s, uint64_t rip)
{
	return kvm_is_64bit(s) ? rip : (uint32_t)(s->cs.base + rip);
}

uint64_t kvm_code_address(const struct kvm_sregs *s, const struct kvm_regs *r)
{
	return linear(s, r->rip);
}

uint64_t insn_address(const struct insn *insn)
{
	return linear(&insn->system, insn->rip);
}

static bool decoder_of(const struct kvm_sregs *s, ZydisDecoder *decoder)
{
	if (kvm_is_64bit(s))
		return ZYAN_SUCCESS(ZydisDecoderInit(decoder, ZYDIS_MACHINE_MODE_LONG_64,
						     ZYDIS_STACK_WIDTH_64));
	return ZYAN_SUCCESS(ZydisDecoderInit(
		decoder, s->cs.db ? ZYDIS_MACHINE_MODE_LEGACY_32 : ZYDIS_MACHINE_MODE_LEGACY_16,
		s->ss.db ? ZYDIS_STACK_WIDTH_32 : ZYDIS_STACK_WIDTH_16));
}

/* What else the bytes' meaning depends on. */
static unsigned mode_of(const struct kvm_sregs *s)
{
	return 1u | (unsigned)kvm_is_64bit(s) << 1 | (s->cs.db ? 4u : 0) | (s->ss.db ? 8u : 0);
}

bool insn_decode(struct insn *insn, const uint8_t *bytes, unsigned len)
{
	unsigned mode = mode_of(&insn->system);
	ZydisDecoder decoder;

	if (len > sizeof(insn->code))
		len = sizeof(insn->code);
	if (insn->mode == mode && insn->code_len == len && memcmp(insn->code, bytes, len) == 0)
		return insn->known;
	memcpy(insn->code, bytes, len);
	insn->code_len = len;
	insn->mode = mode;
	insn->known = len && decoder_of(&insn->system, &decoder) &&
		      ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, len, &insn->is,
							  insn->operand));
	if (!insn->known)
		insn->is = (ZydisDecodedInstruction){ 0 };
	return insn->known;
}

uint32_t kvm_length_64(const uint8_t *bytes, unsigned len)
{
	struct insn insn = { .system = { .efer = EFER_LMA, .cs.l = 1 } };

	return insn_decode(&insn, bytes, len) ? insn.is.length : 0;
}

static uint64_t low_bits(uint64_t value, unsigned width)
{
	return width < 64 ? value & ((UINT64_C(1) << width) - 1) : value;
}

/* Which of 16 it is of. */
static unsigned number_of(ZydisRegister reg)
{
	return (unsigned)ZydisRegisterGetId(
		ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg));
}

/* AH to BH lie there in their register. */
static unsigned shift_of(ZydisRegister reg)
{
	return reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH ? 8 : 0;
}

static unsigned width_of(ZydisRegister reg)
{
	return ZydisRegisterGetWidth(ZYDIS_MACHINE_MODE_LONG_64, reg);
}

bool insn_is_general(ZydisRegister reg)
{
	ZydisRegisterClass class = ZydisRegisterGetClass(reg);

	return class >= ZYDIS_REGCLASS_GPR8 && class <= ZYDIS_REGCLASS_GPR64;
}

uint64_t insn_register(const struct insn *insn, ZydisRegister reg)
{
	return low_bits(insn->gpr[number_of(reg)] >> shift_of(reg), width_of(reg));
}

/* In 64-bit code one of 32 bits clears those above it; elsewhere nobody sees them. */
void insn_set_register(uint64_t gpr[16], ZydisRegister reg, uint64_t value)
{
	unsigned width = width_of(reg), shift = shift_of(reg);
	uint64_t *whole = &gpr[number_of(reg)];
	uint64_t mask = low_bits(~UINT64_C(0), width) << shift;

	if (width >= 32)
		*whole = low_bits(value, width);
	else
		*whole = (*whole & ~mask) | (value << shift & mask);
}

static uint64_t register_value(const struct insn *insn, ZydisRegister reg)
{
	if (reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP)
		return insn->rip + insn->is.length;
	return insn_is_general(reg) ? insn_register(insn, reg) : 0;
}

static uint64_t segment_base(const struct insn *insn, ZydisRegister reg)
{
	const struct kvm_sregs *s = &insn->system;
	bool flat = kvm_is_64bit(s);

	switch (reg) {
	case ZYDIS_REGISTER_FS:
		return s->fs.base;
	case ZYDIS_REGISTER_GS:
		return s->gs.base;
	case ZYDIS_REGISTER_ES:
		return flat ? 0 : s->es.base;
	case ZYDIS_REGISTER_CS:
		return flat ? 0 : s->cs.base;
	case ZYDIS_REGISTER_SS:
		return flat ? 0 : s->ss.base;
	default:
		return flat ? 0 : s->ds.base;
	}
}

/* PUSH, CALL and their like write below the stack pointer, which Zydis gives as it is before. */
static bool pushes(const struct insn *insn, const ZydisDecodedOperand *o)
{
	return o->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN &&
	       o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE &&
	       (insn->is.meta.category == ZYDIS_CATEGORY_PUSH ||
		insn->is.meta.category == ZYDIS_CATEGORY_CALL);
}

/* BT and its like go on beyond their operand, by the bit that a register says, in its units. */
static uint64_t bits_away(const struct insn *insn, const ZydisDecodedOperand *o)
{
	const ZydisDecodedOperand *bit = &insn->operand[1];
	ZydisMnemonic mnemonic = insn->is.mnemonic;
	unsigned unused = 64 - o->size;
	int64_t n;

	if ((mnemonic != ZYDIS_MNEMONIC_BT && mnemonic != ZYDIS_MNEMONIC_BTS &&
	     mnemonic != ZYDIS_MNEMONIC_BTR && mnemonic != ZYDIS_MNEMONIC_BTC) ||
	    bit->type != ZYDIS_OPERAND_TYPE_REGISTER)
		return 0;
	n = (int64_t)(register_value(insn, bit->reg.value) << unused) >> unused;
	return (uint64_t)((n & -(int64_t)o->size) / 8);
}

static uint64_t address_of(const struct insn *insn, const ZydisDecodedOperand *o)
{
	uint64_t at = register_value(insn, o->mem.base) +
		      register_value(insn, o->mem.index) * o->mem.scale + bits_away(insn, o);

	if (o->mem.disp.has_displacement)
		at += (uint64_t)o->mem.disp.value;
	if (pushes(insn, o))
		at -= o->size / 8;
	if (insn->is.mnemonic == ZYDIS_MNEMONIC_XLAT)	/* its index is no operand's */
		at += (uint8_t)insn->gpr[0];
	at = low_bits(at, insn->is.address_width) + segment_base(insn, o->mem.segment);
	return kvm_is_64bit(&insn->system) ? at : (uint32_t)at;
}

bool insn_repeats(const struct insn *insn)
{
	return insn->is.attributes &
	       (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE);
}

/* No times, maybe. */
static bool does_nothing(const struct insn *insn)
{
	return insn_repeats(insn) && !low_bits(insn->gpr[1], insn->is.address_width);
}

/* Gathers and scatters have many addresses, and are not looked at. */
static bool is_access(const ZydisDecodedOperand *o)
{
	return o->type == ZYDIS_OPERAND_TYPE_MEMORY && o->mem.type == ZYDIS_MEMOP_TYPE_MEM;
}

/* One that is read and written is two accesses, but for one with LOCK, and XCHG. */
static uint32_t access_of(const struct insn *insn, const ZydisDecodedOperand *o, uint32_t round)
{
	bool locked = insn->is.attributes & ZYDIS_ATTRIB_HAS_LOCK ||
		      insn->is.mnemonic == ZYDIS_MNEMONIC_XCHG;
	uint32_t access = (o->actions & ZYDIS_OPERAND_ACTION_MASK_READ ? SCRY_READ : 0) |
			  (o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE ? SCRY_WRITE : 0);

	if (locked && access == (SCRY_READ | SCRY_WRITE))
		return round == SCRY_READ ? access : 0;
	return access & round;
}

unsigned insn_accesses(const struct insn *insn, struct insn_access *accesses)
{
	static const uint32_t rounds[] = { SCRY_READ, SCRY_WRITE };
	unsigned count = 0;

	if (does_nothing(insn))
		return 0;
	for (unsigned round = 0; round < 2; round++)
		for (unsigned i = 0; i < insn->is.operand_count; i++) {
			const ZydisDecodedOperand *o = &insn->operand[i];
			uint32_t access = is_access(o) ? access_of(insn, o, rounds[round]) : 0;

			if (access)
				accesses[count++] = (struct insn_access){
					.gva = address_of(insn, o), .size = o->size / 8,
					.access = access };
		}
	return count;
}
