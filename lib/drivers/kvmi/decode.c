/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include <Zydis/Zydis.h>

#include "../../paging/as.h"
#include "kvmi.h"

/*
 * What KVMI does not tell of an event, and the instruction does: its length, and how
 * many bytes it reads or writes.
 */

#define EFER_LMA (UINT64_C(1) << 10)
#define LONGEST  15

/* The instruction's bytes, as far as they are mapped; how many. */
static size_t fetch(struct kvmi_vm *k, const struct kvmi_arch *a, struct scry_as **as,
		    uint8_t *bytes)
{
	bool is_long = a->sregs.efer & EFER_LMA && a->sregs.cs.l;
	const struct kvmi_sregs *s = &a->sregs;
	uint64_t at = is_long ? a->gprs.rip : (uint32_t)(a->sregs.cs.base + a->gprs.rip);
	size_t first = KVMI_PAGE - at % KVMI_PAGE;

	first = first < LONGEST ? first : LONGEST;
	if (scry_as_follow(k->vm, s->cr0, s->cr3, s->cr4, s->efer, as) < 0 ||
	    scry_read_virt(*as, at, bytes, first) < 0)
		return 0;
	if (first < LONGEST && !scry_read_virt(*as, at + first, bytes + first, LONGEST - first))
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

/* Bytes of the access, if it begins in this page; 0 if that is not sure. */
static uint32_t access_size(const struct scry_event *e, const ZydisDecodedInstruction *insn,
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
			size = operands[i].size / 8;
	/* It may be the rest of one that began in the page before. */
	if (size > 1 && left == KVMI_PAGE && !(e->memory.access & SCRY_EXEC))
		return 0;
	return size < left ? size : (uint32_t)left;
}

void kvmi_decode(struct kvmi_vm *k, const struct kvmi_occurrence *o, struct scry_as **as,
		 struct scry_event *e)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction insn;
	uint8_t bytes[LONGEST];
	size_t len;

	/* A step's event is of no instruction; others' lengths are known. */
	if (e->insn_len || e->kind == SCRY_EVENT_STEP)
		return;
	len = fetch(k, &o->arch, as, bytes);
	if (!len || !decode(&o->arch, bytes, len, &insn, operands))
		return;
	e->insn_len = insn.length;
	if (e->kind == SCRY_EVENT_MEMORY)
		e->memory.size = access_size(e, &insn, operands);
}
