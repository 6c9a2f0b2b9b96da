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
#define EFER_NXE (UINT64_C(1) << 11)
#define CR0_PG   (UINT64_C(1) << 31)
#define CR4_PSE  (UINT64_C(1) << 4)
#define CR4_PAE  (UINT64_C(1) << 5)
#define CR4_LA57 (UINT64_C(1) << 12)
#define LONGEST  15

/* The caller's address space, made the vCPU's; false if there is no memory for one. */
static bool set_space(struct kvmi_vm *k, const struct kvmi_sregs *s, struct scry_as **space)
{
	struct scry_as_opts opts = { .sz = sizeof(opts) };
	struct scry_as *as;

	if (!*space && scry_as_open(k->vm, s->cr3, &opts, space) < 0)
		return false;
	as = *space;
	if (as->root != s->cr3)
		scry_tlb_clear(as);
	as->root = s->cr3;
	as->mode = !(s->cr0 & CR0_PG) ? SCRY_PAGING_OFF :
		      !(s->cr4 & CR4_PAE) ? SCRY_PAGING_32BIT :
		      !(s->efer & EFER_LMA) ? SCRY_PAGING_PAE :
		      s->cr4 & CR4_LA57 ? SCRY_PAGING_5LEVEL : SCRY_PAGING_4LEVEL;
	as->pse = !!(s->cr4 & CR4_PSE);
	as->nxe = !!(s->efer & EFER_NXE);
	return true;
}

/* The instruction's bytes, as far as they are mapped; how many. */
static size_t fetch(struct kvmi_vm *k, const struct kvmi_arch *a, struct scry_as **as,
		    uint8_t *bytes)
{
	bool is_long = a->sregs.efer & EFER_LMA && a->sregs.cs.l;
	uint64_t at = is_long ? a->gprs.rip : (uint32_t)(a->sregs.cs.base + a->gprs.rip);
	size_t first = KVMI_PAGE - at % KVMI_PAGE;

	first = first < LONGEST ? first : LONGEST;
	if (!set_space(k, &a->sregs, as) || scry_read_virt(*as, at, bytes, first) < 0)
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
