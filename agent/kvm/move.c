/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "move.h"

static bool is_move(ZydisMnemonic mnemonic, bool *is_signed)
{
	*is_signed = mnemonic == ZYDIS_MNEMONIC_MOVSX || mnemonic == ZYDIS_MNEMONIC_MOVSXD;
	return *is_signed || mnemonic == ZYDIS_MNEMONIC_MOV || mnemonic == ZYDIS_MNEMONIC_MOVZX ||
	       mnemonic == ZYDIS_MNEMONIC_MOVNTI;
}

static bool is_memory(const ZydisDecodedOperand *o)
{
	return o->type == ZYDIS_OPERAND_TYPE_MEMORY && o->mem.type == ZYDIS_MEMOP_TYPE_MEM;
}

static bool is_general(const ZydisDecodedOperand *o)
{
	return o->type == ZYDIS_OPERAND_TYPE_REGISTER && insn_is_general(o->reg.value);
}

static bool has_size(unsigned size)
{
	return size == 1 || size == 2 || size == 4 || size == 8;
}

static bool store_of(const struct insn *insn, struct move *m)
{
	const ZydisDecodedOperand *from = &insn->operand[1];

	m->store = true;
	m->size = insn->operand[0].size / 8;
	if (is_general(from))
		m->value = insn_register(insn, from->reg.value);
	else if (from->type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
		m->value = from->imm.value.u;
	else
		return false;
	return has_size(m->size);
}

static bool load_of(const struct insn *insn, struct move *m)
{
	m->size = insn->operand[1].size / 8;
	m->into = insn->operand[0].reg.value;
	return has_size(m->size);
}

bool move_of(const struct insn *insn, struct move *m)
{
	*m = (struct move){ .store = false };
	if (!insn->known || insn->is.operand_count != 2 ||
	    !is_move(insn->is.mnemonic, &m->is_signed))
		return false;
	if (is_memory(&insn->operand[0]))
		return store_of(insn, m);
	return is_general(&insn->operand[0]) && is_memory(&insn->operand[1]) && load_of(insn, m);
}

void move_loaded(const struct move *m, uint64_t value, uint64_t gpr[16])
{
	unsigned unused = 64 - 8 * m->size;

	if (m->is_signed)
		value = (uint64_t)((int64_t)(value << unused) >> unused);
	insn_set_register(gpr, m->into, value);
}

#define AT(type)     (*(volatile type *)memory)
#define ACCESS(type) (m->store ? AT(type) = (type)m->value : AT(type))

/* One of the processor's that executes this, as it would have been one of the guest's. */
uint64_t move_access(const struct move *m, void *memory)
{
	switch (m->size) {
	case 1:
		return ACCESS(uint8_t);
	case 2:
		return ACCESS(uint16_t);
	case 4:
		return ACCESS(uint32_t);
	default:
		return ACCESS(uint64_t);
	}
}
