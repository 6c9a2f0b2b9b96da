/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include <Zydis/Zydis.h>

#include "../../../protocol/bits.h"
#include "../../paging/as.h"
#include "gprs.h"
#include "kvmi.h"

/*
 * What KVMI does not tell of an event: the instruction says how long it is, and how many
 * bytes it reads or writes; the page tables say whether it was the page walker.
 */

#define LONGEST  15

/* Within a page, as the view shows it. */
static bool read_page(struct kvmi_vm *k, unsigned view, struct scry_as *as, uint64_t gva,
		      uint8_t *bytes, size_t len)
{
	uint64_t gpa;

	return scry_translate(as, gva, &gpa) == 0 &&
	       scry_read_phys(k->vm, kvmi_shown(k, view, gpa), bytes, len) == 0;
}

/* The instruction's bytes, as far as they are mapped; how many. */
static size_t fetch(struct kvmi_vm *k, unsigned view, const struct kvmi_arch *a, struct scry_as *as,
		    uint8_t *bytes)
{
	bool is_long = a->sregs.efer & EFER_LMA && a->sregs.cs.l;
	uint64_t at = is_long ? a->gprs.rip : (uint32_t)(a->sregs.cs.base + a->gprs.rip);
	size_t first = KVMI_PAGE - at % KVMI_PAGE;

	first = first < LONGEST ? first : LONGEST;
	if (!read_page(k, view, as, at, bytes, first))
		return 0;
	if (first < LONGEST &&
	    read_page(k, view, as, at + first, bytes + first, LONGEST - first))
		return LONGEST;
	return first;
}

static bool decode(const struct kvmi_arch *a, const uint8_t *bytes, size_t len,
		   ZydisDecodedInstruction *insn, ZydisDecodedOperand *operands)
{
	bool is_long = a->sregs.efer & EFER_LMA && a->sregs.cs.l;
	ZydisMachineMode mode = is_long ? ZYDIS_MACHINE_MODE_LONG_64 :
				a->sregs.cs.db ? ZYDIS_MACHINE_MODE_LEGACY_32 :
						 ZYDIS_MACHINE_MODE_LEGACY_16;
	ZydisStackWidth width = is_long ? ZYDIS_STACK_WIDTH_64 :
				a->sregs.ss.db ? ZYDIS_STACK_WIDTH_32 : ZYDIS_STACK_WIDTH_16;
	ZydisDecoder decoder;

	return ZYAN_SUCCESS(ZydisDecoderInit(&decoder, mode, width)) &&
	       ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, len, insn, operands));
}

static uint64_t register_value(const struct scry_event *e, const ZydisDecodedInstruction *insn,
			       ZydisRegister reg)
{
	switch (ZydisRegisterGetClass(reg)) {
	case ZYDIS_REGCLASS_GPR16:
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64:
		return e->gpr[ZydisRegisterGetId(reg)];
	case ZYDIS_REGCLASS_IP:
		return e->rip + insn->length;
	default:
		return 0;
	}
}

/* The linear address of a memory operand; what the instruction itself adds to RSP is not in it. */
static uint64_t address_of(const struct kvmi_occurrence *o, const struct scry_event *e,
			   const ZydisDecodedInstruction *insn, const ZydisDecodedOperand *operand)
{
	uint64_t at = (uint64_t)operand->mem.disp.value +
		      register_value(e, insn, operand->mem.base) +
		      register_value(e, insn, operand->mem.index) * operand->mem.scale;
	bool is_long = insn->machine_mode == ZYDIS_MACHINE_MODE_LONG_64;
	ZyanI8 segment = ZydisRegisterGetId(operand->mem.segment);
	struct scry_regs regs;

	if (insn->address_width < 64)
		at &= (UINT64_C(1) << insn->address_width) - 1;
	kvmi_sregs_out(&o->arch.sregs, &regs);
	if (segment >= 0 && segment < 6 && (!is_long || segment >= 4))
		at += regs.seg[segment].base;
	return is_long ? at : (uint32_t)at;
}

/* Bytes of the operand from the accessed address on; 0 if that is not sure. */
static uint32_t operand_size(const struct kvmi_occurrence *o, const struct scry_event *e,
			     const ZydisDecodedInstruction *insn,
			     const ZydisDecodedOperand *operand)
{
	uint64_t offset = e->memory.gva - address_of(o, e, insn, operand);
	uint32_t size = operand->size / 8;

	if (offset < size)
		return size - (uint32_t)offset;
	/* Pushed, say; at the begin of a page it may be the rest of one that began before. */
	return size > 1 && e->memory.gpa % KVMI_PAGE == 0 ? 0 : size;
}

/* Bytes of the access, as far as they lie in its page; 0 if that is not sure. */
static uint32_t access_size(const struct kvmi_occurrence *o, const struct scry_event *e,
			    const ZydisDecodedInstruction *insn,
			    const ZydisDecodedOperand *operands)
{
	uint64_t left = KVMI_PAGE - e->memory.gpa % KVMI_PAGE;
	ZyanU8 action = e->memory.access & SCRY_WRITE ? ZYDIS_OPERAND_ACTION_MASK_WRITE :
							ZYDIS_OPERAND_ACTION_MASK_READ;
	uint32_t size = 0;

	if (e->memory.access & SCRY_EXEC)
		size = e->memory.gva == e->rip ? insn->length : 0;
	for (int i = 0; !(e->memory.access & SCRY_EXEC) && i < insn->operand_count; i++)
		if (operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY && operands[i].actions & action)
			size = operand_size(o, e, insn, &operands[i]);
	return size < left ? size : (uint32_t)left;
}

/* Is what is accessed not where gva leads to, but an entry of a table on the way? */
static bool is_walk(struct scry_as *as, const struct scry_event *e)
{
	struct scry_walk w;

	if (e->memory.gva == KVMI_UNMAPPED || scry_walk(as, e->memory.gva, &w) < 0 ||
	    (w.fault == SCRY_WALK_OK && (w.gpa ^ e->memory.gpa) < KVMI_PAGE))
		return false;
	for (int i = 0; i < w.levels; i++)
		if (e->memory.gpa - w.step[i].gpa < 8)
			return true;
	return false;
}

void kvmi_decode(struct kvmi_vm *k, const struct kvmi_occurrence *o, struct scry_as **as,
		 struct scry_event *e)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	const struct kvmi_sregs *s = &o->arch.sregs;
	ZydisDecodedInstruction insn;
	uint8_t bytes[LONGEST];
	size_t len;

	/* A step's event is of no instruction; others' lengths are known. */
	if (e->insn_len || e->kind == SCRY_EVENT_STEP ||
	    scry_as_follow(k->vm, s->cr0, s->cr3, s->cr4, s->efer, as) < 0)
		return;
	if (e->kind == SCRY_EVENT_MEMORY && is_walk(*as, e)) {
		e->memory.walk = 1;
		e->memory.size = scry_as_mode(*as) == SCRY_PAGING_32BIT ? 4 : 8;
	}
	len = fetch(k, e->view, &o->arch, *as, bytes);
	if (!len || !decode(&o->arch, bytes, len, &insn, operands))
		return;
	e->insn_len = insn.length;
	if (e->kind == SCRY_EVENT_MEMORY && !e->memory.walk)
		e->memory.size = access_size(o, e, &insn, operands);
}
