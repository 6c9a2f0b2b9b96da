/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../match.h"
#include "os.h"

#define CR0_TS UINT64_C(8)

static uint64_t cr_of(const struct scry_regs *regs, unsigned cr)
{
	switch (cr) {
	case 0: return regs->cr0;
	case 2: return regs->cr2;
	case 3: return regs->cr3;
	case 4: return regs->cr4;
	case 8: return regs->cr8;
	}
	return 0;
}

static uint64_t dr_of(const struct scry_regs *regs, unsigned dr)
{
	return dr < 4 ? regs->dr[dr] : dr & 1 ? regs->dr7 : regs->dr6;
}

static void fill(const struct scry_linux_site *site, const struct scry_regs *regs,
		 struct scry_event *e)
{
	uint64_t value = site->gpr < 16 ? e->gpr[site->gpr] : regs->cr0 & ~CR0_TS;

	switch (site->kind) {
	case SCRY_EVENT_CR_WRITE:
		e->cr.new_value = value;
		/* fall through */
	case SCRY_EVENT_CR_READ:
		e->cr.cr = site->number;
		e->cr.old_value = cr_of(regs, site->number);
		break;
	case SCRY_EVENT_DR_WRITE:
		e->dr.new_value = value;
		/* fall through */
	case SCRY_EVENT_DR_READ:
		e->dr.dr = site->number < 4 ? site->number : site->number | 2;
		e->dr.old_value = dr_of(regs, site->number);
		break;
	case SCRY_EVENT_CPUID:
		e->cpuid.leaf = (uint32_t)e->gpr[SCRY_REG_RAX];
		e->cpuid.subleaf = (uint32_t)e->gpr[SCRY_REG_RCX];
		break;
	case SCRY_EVENT_XSETBV:
		e->xsetbv.index = (uint32_t)e->gpr[SCRY_REG_RCX];
		e->xsetbv.old_value = regs->xcr0;
		e->xsetbv.new_value = e->gpr[SCRY_REG_RDX] << 32 | (uint32_t)e->gpr[SCRY_REG_RAX];
		break;
	case SCRY_EVENT_DESCRIPTOR:
		e->desc.table = site->number;
		e->desc.access = site->access;
		break;
	case SCRY_EVENT_HYPERCALL:
		e->hypercall.vmmcall = site->vmmcall;
		break;
	}
}

/* Must the vCPU be asked for more than its event tells? */
static bool needs_registers(const struct scry_linux_site *site)
{
	switch (site->kind) {
	case SCRY_EVENT_CR_WRITE:
	case SCRY_EVENT_CR_READ:
		return site->number != 3;
	case SCRY_EVENT_DR_WRITE:
	case SCRY_EVENT_DR_READ:
	case SCRY_EVENT_XSETBV:
		return true;
	}
	return false;
}

int scry_linux_site_event(struct scry_linux *os, const struct scry_linux_site *site,
			  const struct scry_subscription *sub, struct scry_event *event)
{
	struct scry_regs regs = { .cr3 = event->cr3 };
	struct scry_event made = *event;
	int ret;

	if (event->kind != SCRY_EVENT_BREAKPOINT || event->rip != site->address)
		return scry_fail(SCRY_E_INVAL, "the event is not of a breakpoint at this site");
	if (needs_registers(site)) {
		ret = scry_regs_get(os->vm, event->vcpu, &regs);
		if (ret < 0)
			return ret;
	}
	made.kind = site->kind;
	made.breakpoint.number = 0;
	fill(site, &regs, &made);
	if (sub && !scry_matches(sub, &made))
		return 0;
	*event = made;
	return 1;
}
