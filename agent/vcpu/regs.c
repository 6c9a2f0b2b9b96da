/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "protocol/bits.h"
#include "regs.h"
#include "segment.h"

#define WANTS(reg) (mask & SCRY_REG_BIT(SCRY_REG_##reg))

#define HF_SVME    (1u << 20)

uint64_t regs_cr8(struct qemu_cpu *cpu)
{
	uint32_t nested = cpu_hflags(cpu) & HF_GUEST;
	uint64_t value;

	/* A nested hypervisor's intercepts are for its guest, not for us. */
	cpu_put32(cpu, cpu_layout.hflags, cpu_hflags(cpu) & ~HF_GUEST);
	value = qemu.helper.read_crN(cpu_env(cpu), 8);
	cpu_put32(cpu, cpu_layout.hflags, cpu_hflags(cpu) | nested);
	return value;
}

static void cr8_put(struct qemu_cpu *cpu, uint64_t value)
{
	uint32_t nested = cpu_hflags(cpu) & HF_GUEST;

	cpu_put32(cpu, cpu_layout.hflags, cpu_hflags(cpu) & ~HF_GUEST);
	qemu.helper.write_crN(cpu_env(cpu), 8, value);
	cpu_put32(cpu, cpu_layout.hflags, cpu_hflags(cpu) | nested);
}

void regs_get(struct qemu_cpu *cpu, struct scry_regs *regs)
{
	const uint64_t *dr = (const uint64_t *)((const char *)cpu + cpu_layout.dr);

	memcpy(regs->gpr, cpu_gpr(cpu), sizeof(regs->gpr));
	regs->rip = cpu_get64(cpu, cpu_layout.eip);
	regs->rflags = cpu_get64(cpu, cpu_layout.eflags);
	for (unsigned i = 0; i < 8; i++)
		segment_get(cpu, i, &regs->seg[i]);
	table_get(cpu, cpu_layout.gdt, &regs->gdtr);
	table_get(cpu, cpu_layout.idt, &regs->idtr);
	regs->cr0 = cpu_get64(cpu, cpu_layout.cr0);
	regs->cr2 = cpu_get64(cpu, cpu_layout.cr2);
	regs->cr3 = cpu_get64(cpu, cpu_layout.cr3);
	regs->cr4 = cpu_get64(cpu, cpu_layout.cr4);
	regs->cr8 = regs_cr8(cpu);
	regs->xcr0 = cpu_get64(cpu, cpu_layout.xcr0);
	memcpy(regs->dr, dr, sizeof(regs->dr));
	regs->dr6 = dr[6];
	regs->dr7 = dr[7];
	regs->efer = cpu_get64(cpu, cpu_layout.efer);
}

void regs_overlay(struct scry_regs *to, const struct scry_regs *from, uint64_t mask)
{
	for (int i = 0; i < 16; i++)
		if (mask >> i & 1)
			to->gpr[i] = from->gpr[i];
	for (int i = 0; i < 8; i++)
		if (mask & SCRY_REG_BIT(SCRY_REG_ES) << i)
			to->seg[i] = from->seg[i];
	for (int i = 0; i < 4; i++)
		if (mask & SCRY_REG_BIT(SCRY_REG_DR0) << i)
			to->dr[i] = from->dr[i];
#define OVERLAY(NAME, field) \
	if (WANTS(NAME)) \
		to->field = from->field;
	OVERLAY(RIP, rip)
	OVERLAY(RFLAGS, rflags)
	OVERLAY(GDTR, gdtr)
	OVERLAY(IDTR, idtr)
	OVERLAY(CR0, cr0)
	OVERLAY(CR2, cr2)
	OVERLAY(CR3, cr3)
	OVERLAY(CR4, cr4)
	OVERLAY(CR8, cr8)
	OVERLAY(XCR0, xcr0)
	OVERLAY(DR6, dr6)
	OVERLAY(DR7, dr7)
	OVERLAY(EFER, efer)
#undef OVERLAY
}

static void put_segments(struct qemu_cpu *cpu, const struct scry_regs *regs, uint64_t mask)
{
	for (unsigned i = 0; i < 8; i++)
		if (mask & SCRY_REG_BIT(SCRY_REG_ES) << i)
			segment_put(cpu, i, &regs->seg[i]);
	if (WANTS(GDTR))
		table_put(cpu, cpu_layout.gdt, &regs->gdtr);
	if (WANTS(IDTR))
		table_put(cpu, cpu_layout.idt, &regs->idtr);
}

static void put_debug(struct qemu_cpu *cpu, const struct scry_regs *regs, uint64_t mask)
{
	struct qemu_env *env = cpu_env(cpu);
	size_t dr7 = cpu_layout.dr + 7 * sizeof(uint64_t);
	uint64_t guarded = cpu_get64(cpu, dr7) & DR7_GD;

	/* With GD set QEMU would raise #DB, and there is no block to raise it from. */
	cpu_put64(cpu, dr7, cpu_get64(cpu, dr7) & ~DR7_GD);
	for (int i = 0; i < 4; i++)
		if (mask & SCRY_REG_BIT(SCRY_REG_DR0) << i)
			qemu.helper.set_dr(env, i, regs->dr[i]);
	if (WANTS(DR6))
		qemu.helper.set_dr(env, 6, regs->dr6);
	if (WANTS(DR7))
		qemu.helper.set_dr(env, 7, regs->dr7);
	else
		cpu_put64(cpu, dr7, cpu_get64(cpu, dr7) | guarded);
}

/* CR0 last: with LME set it is paging that switches long mode on and off, and LMA with it. */
static void put_control(struct qemu_cpu *cpu, const struct scry_regs *regs, uint64_t mask)
{
	struct qemu_env *env = cpu_env(cpu);
	uint64_t lma = cpu_get64(cpu, cpu_layout.efer) & EFER_LMA;

	if (WANTS(CR2))
		cpu_put64(cpu, cpu_layout.cr2, regs->cr2);
	if (WANTS(EFER))
		cpu_put64(cpu, cpu_layout.efer, (regs->efer & ~EFER_LMA) | lma);
	if (WANTS(CR4))
		qemu.cpu_x86_update_cr4(env, (uint32_t)regs->cr4);
	if (WANTS(CR3))
		qemu.cpu_x86_update_cr3(env, regs->cr3);
	if (WANTS(CR0))
		qemu.cpu_x86_update_cr0(env, (uint32_t)regs->cr0);
	if (WANTS(CR8))
		cr8_put(cpu, regs->cr8);
	if (WANTS(XCR0)) {
		cpu_put64(cpu, cpu_layout.xcr0, regs->xcr0);
		qemu.cpu_sync_bndcs_hflags(env);
		qemu.cpu_sync_avx_hflag(env);
	}
	if (mask & (SCRY_REG_BIT(SCRY_REG_CR0) | SCRY_REG_BIT(SCRY_REG_CR4) |
		    SCRY_REG_BIT(SCRY_REG_EFER)))
		qemu.tlb_flush(cpu);
}

/* QEMU's flags about the mode follow from the registers. */
static void update_hflags(struct qemu_cpu *cpu)
{
	uint32_t hflags;

	qemu.x86_update_hflags(cpu_env(cpu));
	/* TCG takes these from env.eflags: left here they would never go away. */
	hflags = cpu_hflags(cpu) & ~(HF_TF | HF_IOPL | HF_VM | HF_SVME);
	if (cpu_get64(cpu, cpu_layout.efer) & EFER_SVME)
		hflags |= HF_SVME;
	cpu_put32(cpu, cpu_layout.hflags, hflags);
}

void regs_put(struct qemu_cpu *cpu, const struct scry_regs *regs, uint64_t mask)
{
	uint64_t *gpr = cpu_gpr(cpu);

	for (int i = 0; i < 16; i++)
		if (mask >> i & 1)
			gpr[i] = regs->gpr[i];
	if (!(mask & ~SCRY_REGS_GPR))
		return;
	put_control(cpu, regs, mask);
	put_segments(cpu, regs, mask);
	put_debug(cpu, regs, mask);
	if (WANTS(RFLAGS))
		cpu_put64(cpu, cpu_layout.eflags, regs->rflags | 2);
	if (WANTS(RIP))	/* after CR0, which cuts it short when long mode ends */
		cpu_put64(cpu, cpu_layout.eip, regs->rip);
	update_hflags(cpu);
}
