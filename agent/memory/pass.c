/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/event/operand.h"
#include "look.h"
#include "pass.h"
#include "protocol/bits.h"
#include "view.h"

static bool is_sti(const struct vcpu *vcpu)
{
	uint8_t opcode;

	return view_read(vcpu, code_address(vcpu->cpu), &opcode, 1) && opcode == OPCODE_STI;
}

void pass_next(struct vcpu *vcpu)
{
	struct qemu_cpu *cpu = vcpu->cpu;

	vcpu->begun = false;	/* it begins once more */
	vcpu->pass.again = true;
	/*
	 * QEMU makes a block of it alone, and clears the flag at its end: also
	 * behind an STI, which sets it for the instruction that follows.
	 */
	if (!(cpu_hflags(cpu) & HF_INHIBIT_IRQ) && is_sti(vcpu)) {
		vcpu->inhibits = true;
		look_soon(vcpu);
	}
	cpu_put32(cpu, cpu_layout.hflags, cpu_hflags(cpu) | HF_INHIBIT_IRQ);
}

void pass_fetch(struct vcpu *vcpu)
{
	struct qemu_cpu *cpu = vcpu->cpu;

	pass_next(vcpu);
	cpu_put64(cpu, cpu_layout.eflags, cpu_get64(cpu, cpu_layout.eflags) | EFLAGS_RF);
}

static uint64_t rcx_of(const struct vcpu *vcpu)
{
	return cpu_gpr(vcpu->cpu)[SCRY_REG_RCX];
}

void pass_access(struct vcpu *vcpu, const struct trap *trap)
{
	struct pass *pass = &vcpu->pass;

	if (pass->rip != vcpu->rip || pass->rcx != rcx_of(vcpu) || pass->count == PASS_MOST)
		pass->count = 0;
	pass->again = false;
	pass->rip = vcpu->rip;
	pass->rcx = rcx_of(vcpu);
	pass->page[pass->count].gfn = trap->gpa >> 12;
	pass->page[pass->count].host_pc = trap->host_pc;
	pass->page[pass->count].fetch = trap->fetch;
	pass->page[pass->count++].access = trap->access;
}

void pass_fetched(struct vcpu *vcpu)
{
	struct pass *pass = &vcpu->pass;
	unsigned kept = 0;

	for (unsigned i = 0; i < pass->count; i++)
		if (pass->page[i].fetch)
			pass->page[kept++] = pass->page[i];
	pass->count = kept;
}

/* It is at its first try: could it be the same, at another of its accesses? */
static bool goes_on(const struct pass *pass, const struct vcpu *vcpu, uintptr_t host_pc)
{
	bool same = pass->rip == vcpu->rip && !pass->again;

	for (unsigned i = 0; i < pass->count; i++)
		same &= pass->page[i].host_pc != host_pc;
	return same;
}

/* QEMU 7.2 has HF_INHIBIT_IRQ until all rounds of REP are done, and RCX counts them. */
static bool is_same(const struct pass *pass, const struct vcpu *vcpu, const struct trap *trap)
{
	return cpu_hflags(vcpu->cpu) & HF_INHIBIT_IRQ && pass->rip == vcpu->rip &&
	       (trap->access == SCRY_EXEC || pass->rcx == rcx_of(vcpu));
}

bool pass_has(struct vcpu *vcpu, const struct trap *trap)
{
	struct pass *pass = &vcpu->pass;

	if (!is_same(pass, vcpu, trap)) {
		if (!goes_on(pass, vcpu, trap->host_pc))
			pass->count = 0;
		return false;
	}
	for (unsigned i = 0; i < pass->count; i++)
		if (pass->page[i].gfn == trap->gpa >> 12 &&
		    !(trap->access & ~pass->page[i].access))
			return true;
	return false;
}

void pass_step(struct vcpu *vcpu, unsigned view)
{
	if (!vcpu->over.on)
		vcpu->over.back = vcpu->view;
	vcpu->over.on = true;
	vcpu->over.rip = vcpu->rip;
	view_enter(vcpu, view);
	pass_next(vcpu);
	look_soon(vcpu);
}

void pass_end(struct vcpu *vcpu)
{
	vcpu->pass.count = 0;
	vcpu->inhibits = false;
	if (vcpu->over.on)
		view_enter(vcpu, vcpu->over.back);
	vcpu->over.on = false;
}

void pass_look(struct vcpu *vcpu)
{
	struct qemu_cpu *cpu = vcpu->cpu;
	bool inhibits = vcpu->inhibits;

	if (!inhibits && !vcpu->over.on)
		return;
	if (cpu_hflags(cpu) & HF_INHIBIT_IRQ &&
	    (!vcpu->over.on || cpu_get64(cpu, cpu_layout.eip) == vcpu->over.rip)) {
		look_soon(vcpu);	/* it is still to come */
		return;
	}
	pass_end(vcpu);
	if (inhibits)
		cpu_put32(cpu, cpu_layout.hflags, cpu_hflags(cpu) | HF_INHIBIT_IRQ);
}
