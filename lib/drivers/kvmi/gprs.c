/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "gprs.h"

/* Where each of enum scry_reg, RAX to R15, lies in struct kvmi_gprs. */
static const uint8_t place[16] = {
	offsetof(struct kvmi_gprs, rax), offsetof(struct kvmi_gprs, rcx),
	offsetof(struct kvmi_gprs, rdx), offsetof(struct kvmi_gprs, rbx),
	offsetof(struct kvmi_gprs, rsp), offsetof(struct kvmi_gprs, rbp),
	offsetof(struct kvmi_gprs, rsi), offsetof(struct kvmi_gprs, rdi),
	offsetof(struct kvmi_gprs, r8), offsetof(struct kvmi_gprs, r9),
	offsetof(struct kvmi_gprs, r10), offsetof(struct kvmi_gprs, r11),
	offsetof(struct kvmi_gprs, r12), offsetof(struct kvmi_gprs, r13),
	offsetof(struct kvmi_gprs, r14), offsetof(struct kvmi_gprs, r15),
};

void kvmi_gprs_out(const struct kvmi_gprs *from, uint64_t gpr[16])
{
	for (int i = 0; i < 16; i++)
		memcpy(&gpr[i], (const char *)from + place[i], sizeof(gpr[i]));
}

void kvmi_gprs_in(struct kvmi_gprs *to, const struct scry_regs *regs, uint64_t mask)
{
	for (int i = 0; i < 16; i++)
		if (mask & SCRY_REG_BIT(i))
			memcpy((char *)to + place[i], &regs->gpr[i], sizeof(regs->gpr[i]));
	if (mask & SCRY_REG_BIT(SCRY_REG_RIP))
		to->rip = regs->rip;
	if (mask & SCRY_REG_BIT(SCRY_REG_RFLAGS))
		to->rflags = regs->rflags;
}

static struct scry_seg segment(const struct kvmi_segment *s)
{
	return (struct scry_seg){
		.base = s->base,
		.limit = s->limit,
		.selector = s->selector,
		.attr = (s->type & 15u) | (s->s & 1u) << 4 | (s->dpl & 3u) << 5 |
			(s->present & 1u) << 7 | (s->avl & 1u) << 12 | (s->l & 1u) << 13 |
			(s->db & 1u) << 14 | (s->g & 1u) << 15 | (s->unusable & 1u) << 16,
	};
}

void kvmi_sregs_out(const struct kvmi_sregs *from, struct scry_regs *regs)
{
	const struct kvmi_segment *segments[8] = {
		&from->es, &from->cs, &from->ss, &from->ds, &from->fs, &from->gs, &from->ldt,
		&from->tr,
	};

	for (int i = 0; i < 8; i++)
		regs->seg[i] = segment(segments[i]);
	regs->gdtr = (struct scry_table){ .base = from->gdt.base, .limit = from->gdt.limit };
	regs->idtr = (struct scry_table){ .base = from->idt.base, .limit = from->idt.limit };
	regs->cr0 = from->cr0;
	regs->cr2 = from->cr2;
	regs->cr3 = from->cr3;
	regs->cr4 = from->cr4;
	regs->cr8 = from->cr8;
	regs->efer = from->efer;
}
