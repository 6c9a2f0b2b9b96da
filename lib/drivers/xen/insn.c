/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include <Zydis/Zydis.h>

#include "../../../protocol/bits.h"
#include "../../paging/as.h"
#include "insn.h"
#include "views.h"

/* xen_seg attributes, packed: AVL 8, L 9, D/B 10, G 11. */
#define AR_L  (1u << 9)
#define AR_DB (1u << 10)

#define HLT 0xf4

static bool is_long(const struct vm_event_regs_x86 *r)
{
	return r->msr_efer & EFER_LMA && r->cs.ar & AR_L;
}

/* Bytes of one page from gva on, as many as there are up to len; how many. */
static unsigned read_code(struct scry_as *as, const struct xen_views *views, unsigned view,
			  uint64_t gva, uint8_t *bytes, unsigned len)
{
	unsigned in_page = XEN_PAGE_SIZE - (unsigned)(gva % XEN_PAGE_SIZE);
	struct scry_page page;
	uint64_t gfn;

	if (len > in_page)
		len = in_page;
	if (scry_find_page(as, gva, &page) < 0)
		return 0;
	gfn = xen_view_target(views, view, page.gpa >> 12);
	return scry_read_phys(as->vm, gfn << 12 | page.gpa % XEN_PAGE_SIZE, bytes, len) < 0 ? 0 : len;
}

static void decode(const struct vm_event_regs_x86 *r, const uint8_t *bytes, unsigned len,
		   struct xen_insn *insn)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisMachineMode mode = ZYDIS_MACHINE_MODE_LEGACY_16;
	ZydisStackWidth stack = ZYDIS_STACK_WIDTH_16;
	ZydisDecodedInstruction i;
	ZydisDecoder decoder;

	if (is_long(r)) {
		mode = ZYDIS_MACHINE_MODE_LONG_64;
		stack = ZYDIS_STACK_WIDTH_64;
	} else if (r->cs.ar & AR_DB) {
		mode = ZYDIS_MACHINE_MODE_LEGACY_32;
		stack = ZYDIS_STACK_WIDTH_32;
	}
	if (!ZYAN_SUCCESS(ZydisDecoderInit(&decoder, mode, stack)) ||
	    !ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, len, &i, operands)))
		return;
	insn->len = i.length;
	insn->clts = i.mnemonic == ZYDIS_MNEMONIC_CLTS;
	for (unsigned n = 0; n < i.operand_count; n++) {
		if (operands[n].type != ZYDIS_OPERAND_TYPE_MEMORY ||
		    operands[n].mem.type != ZYDIS_MEMOP_TYPE_MEM)
			continue;
		insn->size = (uint8_t)(operands[n].size / 8 < 256 ? operands[n].size / 8 : 0);
		insn->reads = operands[n].actions & ZYDIS_OPERAND_ACTION_MASK_READ;
		insn->locked = i.attributes & ZYDIS_ATTRIB_HAS_LOCK ||
			       i.mnemonic == ZYDIS_MNEMONIC_XCHG;
		break;
	}
}

static uint64_t address(const struct vm_event_regs_x86 *regs)
{
	return regs->rip + (is_long(regs) ? 0 : regs->cs_base);
}

bool xen_insn_is_hlt(struct scry_vm *vm, struct scry_as **as, const struct xen_views *views,
		     unsigned view, const struct vm_event_regs_x86 *regs)
{
	uint8_t byte;

	return scry_as_follow(vm, regs->cr0, regs->cr3, regs->cr4, regs->msr_efer, as) == 0 &&
	       read_code(*as, views, view, address(regs), &byte, 1) && byte == HLT;
}

void xen_insn_read(struct scry_vm *vm, struct scry_as **as, const struct xen_views *views,
		   unsigned view, const struct vm_event_regs_x86 *regs, struct xen_insn *insn)
{
	uint64_t gva = address(regs);
	uint8_t bytes[ZYDIS_MAX_INSTRUCTION_LENGTH];
	unsigned len;

	memset(insn, 0, sizeof(*insn));
	if (scry_as_follow(vm, regs->cr0, regs->cr3, regs->cr4, regs->msr_efer, as) < 0)
		return;
	len = read_code(*as, views, view, gva, bytes, sizeof(bytes));
	if (len && len < sizeof(bytes))
		len += read_code(*as, views, view, gva + len, bytes + len,
				 (unsigned)sizeof(bytes) - len);
	if (len)
		decode(regs, bytes, len, insn);
}
