/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/accel.h"
#include "protocol/bits.h"
#include "registers.h"

#define MSR_APIC_BASE    0x1b
#define MSR_SYSENTER_CS  0x174
#define MSR_SYSENTER_ESP 0x175
#define MSR_SYSENTER_EIP 0x176
#define MSR_PAT          0x277
#define MSR_STAR         0xc0000081
#define MSR_LSTAR        0xc0000082
#define MSR_CSTAR        0xc0000083
#define MSR_KERNEL_GS    0xc0000102

#define ATTR_UNUSABLE 0x10000u

/* Where a general register, rip and rflags lie in struct kvmi_gprs, by enum scry_reg. */
static const uint8_t places[] = {
	[SCRY_REG_RAX] = 0,  [SCRY_REG_RBX] = 1,  [SCRY_REG_RCX] = 2,  [SCRY_REG_RDX] = 3,
	[SCRY_REG_RSI] = 4,  [SCRY_REG_RDI] = 5,  [SCRY_REG_RSP] = 6,  [SCRY_REG_RBP] = 7,
	[SCRY_REG_R8] = 8,   [SCRY_REG_R9] = 9,   [SCRY_REG_R10] = 10, [SCRY_REG_R11] = 11,
	[SCRY_REG_R12] = 12, [SCRY_REG_R13] = 13, [SCRY_REG_R14] = 14, [SCRY_REG_R15] = 15,
	[SCRY_REG_RIP] = 16, [SCRY_REG_RFLAGS] = 17,
};

static struct kvmi_segment segment(const struct scry_seg *seg)
{
	return (struct kvmi_segment){
		.base = seg->base,
		.limit = seg->limit,
		.selector = seg->selector,
		.type = seg->attr & 0xf,
		.s = seg->attr >> 4 & 1,
		.dpl = seg->attr >> 5 & 3,
		.present = seg->attr >> 7 & 1,
		.avl = seg->attr >> 12 & 1,
		.l = seg->attr >> 13 & 1,
		.db = seg->attr >> 14 & 1,
		.g = seg->attr >> 15 & 1,
		.unusable = !!(seg->attr & ATTR_UNUSABLE),
	};
}

static uint8_t mode_of(const struct scry_regs *regs, const struct kvmi_segment *cs)
{
	if (!(regs->cr0 & CR0_PE))
		return 2;
	if (regs->efer & EFER_LMA && cs->l)
		return 8;
	return cs->db ? 4 : 2;
}

static uint64_t msr(struct vcpu *vcpu, uint32_t index)
{
	uint64_t value = 0;

	accel->msr_read(vcpu, index, &value);
	return value;
}

void kvmi_regs_now(struct vcpu *vcpu, struct scry_regs *regs)
{
	/* In a block of TCG's only RFLAGS are somewhere else. */
	if (accel != &accel_tcg)
		vcpu_step_out(vcpu);
	accel->regs_get(vcpu, regs);
	if (vcpu->in_event && !vcpu->outside)
		regs->rflags = cpu_rflags_in_block(vcpu->cpu);
}

uint8_t kvmi_registers_get(struct vcpu *vcpu, struct kvmi_gprs *gprs, struct kvmi_sregs *sregs)
{
	uint64_t *to = (uint64_t *)gprs;
	struct scry_regs regs;

	kvmi_regs_now(vcpu, &regs);
	for (int i = 0; i < 16; i++)
		to[places[i]] = regs.gpr[i];
	gprs->rip = regs.rip;
	gprs->rflags = regs.rflags;
	*sregs = (struct kvmi_sregs){
		.es = segment(&regs.seg[0]), .cs = segment(&regs.seg[1]),
		.ss = segment(&regs.seg[2]), .ds = segment(&regs.seg[3]),
		.fs = segment(&regs.seg[4]), .gs = segment(&regs.seg[5]),
		.ldt = segment(&regs.seg[6]), .tr = segment(&regs.seg[7]),
		.gdt = { .base = regs.gdtr.base, .limit = (uint16_t)regs.gdtr.limit },
		.idt = { .base = regs.idtr.base, .limit = (uint16_t)regs.idtr.limit },
		.cr0 = regs.cr0, .cr2 = regs.cr2, .cr3 = regs.cr3, .cr4 = regs.cr4,
		.cr8 = regs.cr8, .efer = regs.efer,
		.apic_base = msr(vcpu, MSR_APIC_BASE),
	};
	return mode_of(&regs, &sregs->cs);
}

void kvmi_arch_get(struct vcpu *vcpu, struct kvmi_arch *arch)
{
	*arch = (struct kvmi_arch){
		.sysenter_cs = msr(vcpu, MSR_SYSENTER_CS),
		.sysenter_esp = msr(vcpu, MSR_SYSENTER_ESP),
		.sysenter_eip = msr(vcpu, MSR_SYSENTER_EIP),
		.star = msr(vcpu, MSR_STAR),
		.lstar = msr(vcpu, MSR_LSTAR),
		.cstar = msr(vcpu, MSR_CSTAR),
		.pat = msr(vcpu, MSR_PAT),
		.kernel_gs = msr(vcpu, MSR_KERNEL_GS),
	};
	arch->mode = kvmi_registers_get(vcpu, &arch->gprs, &arch->sregs);
	arch->efer = arch->sregs.efer;
}

uint64_t kvmi_gprs_put(const struct kvmi_gprs *gprs, struct scry_regs *regs)
{
	const uint64_t *from = (const uint64_t *)gprs;
	uint64_t mask = 0;

	for (unsigned i = 0; i < sizeof(places); i++) {
		uint64_t *to = i < 16 ? &regs->gpr[i] : i == SCRY_REG_RIP ? &regs->rip : &regs->rflags;

		if (*to != from[places[i]])
			mask |= SCRY_REG_BIT(i);
		*to = from[places[i]];
	}
	return mask;
}
