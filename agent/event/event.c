/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/memory/phys.h"
#include "agent/qemu/restore.h"
#include "arm.h"
#include "breakpoint.h"
#include "describe.h"
#include "event.h"
#include "exception.h"
#include "execute.h"
#include "operand.h"
#include "permit.h"

/* Carry out the reply where the block cannot simply go on.  Does not return. */
static void finish(struct vcpu *vcpu, struct site site)
{
	bool ours = !vcpu->outside || vcpu_step_in(vcpu);

	atomic_store_explicit(&vcpu->busy, false, memory_order_release);
	if (ours && vcpu->action == SCRY_INJECT)
		exception_raise(vcpu);
	if (!ours || vcpu->jumps)
		vcpu_leave(vcpu);
	if (vcpu->action == SCRY_SKIP)
		execute_nothing(vcpu, site);
	execute(vcpu, site);
}

/* eip is what the block left in env.eip: stale, but what it relies on. */
static void deliver(struct vcpu *vcpu, struct site site, uintptr_t host_pc, uint64_t eip)
{
	struct qemu_cpu *cpu = vcpu->cpu;
	unsigned writes = phys_writes();
	struct scry_event event;

	atomic_store_explicit(&vcpu->busy, true, memory_order_relaxed);
	restore_state(vcpu, host_pc);
	vcpu->rip = cpu_get64(cpu, cpu_layout.eip);
	describe(vcpu, site, &event);
	vcpu_event(vcpu, &event);

	if (vcpu->outside || phys_writes() != writes || vcpu->jumps ||
	    vcpu->action != SCRY_CONTINUE || vcpu->moves)
		finish(vcpu, site);
	cpu_put64(cpu, cpu_layout.eip, eip);
	atomic_store_explicit(&vcpu->busy, false, memory_order_release);
}

/*
 * Does execute() let the instruction through here?  While it is next the vCPU
 * takes no interrupt, and QEMU itself notes its end in the same flag.
 */
static bool may_pass(struct vcpu *vcpu, struct site site, uintptr_t host_pc, uint64_t eip)
{
	struct qemu_cpu *cpu = vcpu->cpu;
	bool next = cpu_hflags(cpu) & HF_INHIBIT_IRQ;

	restore_state(vcpu, host_pc);
	next &= cpu_get64(cpu, cpu_layout.eip) == vcpu->rip;
	cpu_put64(cpu, cpu_layout.eip, eip);
	/* A breakpoint comes before what else there is about its instruction. */
	vcpu->passes = next && (vcpu->passes_all || (site.kind == SCRY_EVENT_BREAKPOINT &&
			vcpu->passing.kind != SCRY_EVENT_BREAKPOINT));
	return next && (vcpu->passes || memcmp(&site, &vcpu->passing, sizeof(site)) == 0);
}

/* Only rip says whether there is a breakpoint, or where the operand is. */
static bool needs_rip(struct site site)
{
	return site.kind == SCRY_EVENT_BREAKPOINT || site.form == SITE_LMSW_MEMORY;
}

static bool wanted(struct vcpu *vcpu, struct site site)
{
	if (site.kind != SCRY_EVENT_BREAKPOINT)
		return filter_match(arm_filters(), vcpu->cpu, vcpu->index, site);
	vcpu->breakpoint = breakpoint_find(vcpu, code_address(vcpu->cpu),
					   cpu_get64(vcpu->cpu, cpu_layout.cr3));
	return vcpu->breakpoint;
}

void event_callback(unsigned index, void *packed)
{
	uintptr_t host_pc = (uintptr_t)__builtin_return_address(0);
	struct vcpu *vcpu = vcpus + index;
	struct qemu_cpu *cpu;
	struct site site;
	uint64_t eip;

	if (index >= vcpu_count)
		return;
	cpu = vcpu->cpu;
	memcpy(&site, &packed, sizeof(site));
	if (!site_unlock(cpu, &site))
		return;
	eip = cpu_get64(cpu, cpu_layout.eip);
	if (vcpu->passes && may_pass(vcpu, site, host_pc, eip))
		return;
	if (needs_rip(site))
		restore_state(vcpu, host_pc);
	if (wanted(vcpu, site))
		deliver(vcpu, site, host_pc, eip);
	else if (needs_rip(site))
		cpu_put64(cpu, cpu_layout.eip, eip);
}
