/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/event/describe.h"
#include "agent/event/exception.h"
#include "agent/event/interrupt.h"
#include "agent/event/watchpoint.h"
#include "agent/qemu/restore.h"
#include "look.h"
#include "pass.h"
#include "watch.h"

static uint64_t rcx_of(const struct vcpu *vcpu)
{
	return cpu_gpr(vcpu->cpu)[SCRY_REG_RCX];
}

/* Is its instruction, or the round of its REP, behind it? */
static bool is_complete(const struct vcpu *vcpu)
{
	const struct watch_hit *w = &vcpu->watch;

	return w->delivery || !(cpu_hflags(vcpu->cpu) & HF_INHIBIT_IRQ) ||
	       w->rip != cpu_get64(vcpu->cpu, cpu_layout.eip) || w->rcx != rcx_of(vcpu);
}

/* Its block is of this instruction alone, so that one comes by behind it. */
static void note(struct vcpu *vcpu, uint8_t set, bool delivery)
{
	struct watch_hit *w = &vcpu->watch;
	uint64_t rip = cpu_get64(vcpu->cpu, cpu_layout.eip), rcx = rcx_of(vcpu);

	if (w->rip != rip || w->rcx != rcx || w->delivery != delivery)
		w->set = 0;
	w->set |= set;
	w->delivery = delivery;
	w->rip = rip;
	w->rcx = rcx;
	look_soon(vcpu);
}

/* It comes next, alone; what there is to tell of it but this has been told. */
static void __attribute__((noreturn)) begin_anew(struct vcpu *vcpu)
{
	vcpu->rip = cpu_get64(vcpu->cpu, cpu_layout.eip);
	vcpu->passes = vcpu->passes_all = true;
	vcpu->access.on = false;
	pass_next(vcpu);
	vcpu_leave(vcpu);
}

static void hit(struct vcpu *vcpu, uint8_t set)
{
	struct qemu_cpu *cpu = vcpu->cpu;
	uint64_t eip = cpu_get64(cpu, cpu_layout.eip);

	if (!vcpu->access.host_pc) {
		note(vcpu, set, true);
		return;
	}
	restore_state(vcpu, vcpu->access.host_pc);
	if (!(cpu_hflags(cpu) & HF_INHIBIT_IRQ))
		begin_anew(vcpu);
	note(vcpu, set, false);
	cpu_put64(cpu, cpu_layout.eip, eip);
}

uint32_t watch_access(struct vcpu *vcpu)
{
	const struct tlb_access *a = &vcpu->access;
	uint8_t set;

	if (a->walk || !watchpoint_any())
		return 0;
	set = watchpoint_find(vcpu, cpu_get64(vcpu->cpu, cpu_layout.cr3), a->gva, a->size, a->type);
	if (set)
		hit(vcpu, set);
	return watchpoint_in_page(a->gva);
}

/* Tell of each.  False: QEMU gave the vCPU another state meanwhile. */
static bool tell(struct vcpu *vcpu)
{
	uint8_t set = vcpu->watch.set;
	bool ours = true;

	vcpu->watch.set = 0;
	vcpu->action = SCRY_CONTINUE;
	set = watchpoint_wanted(vcpu, cpu_get64(vcpu->cpu, cpu_layout.cr3), set);
	for (; set && ours && vcpu->action != SCRY_INJECT; set &= (uint8_t)(set - 1)) {
		struct scry_event event;

		vcpu->rip = cpu_get64(vcpu->cpu, cpu_layout.eip);
		describe_vcpu(vcpu, &event);
		watchpoint_describe(__builtin_ctz(set) + 1, &event);
		ours = vcpu_ask(vcpu, &event);
	}
	return ours;
}

bool watch_look(struct vcpu *vcpu)
{
	if (!vcpu->watch.set)
		return false;
	if (!is_complete(vcpu)) {
		look_soon(vcpu);
		return false;
	}
	if (!tell(vcpu) || vcpu->action != SCRY_INJECT)
		return false;
	interrupt_deliver(vcpu);
	return true;
}

void watch_stopped(struct vcpu *vcpu)
{
	if (!vcpu->watch.set || !is_complete(vcpu))
		return;
	if (!tell(vcpu))
		vcpu_leave(vcpu);
	if (vcpu->action == SCRY_INJECT)
		exception_raise(vcpu);
}

bool watch_interrupted(struct vcpu *vcpu, bool asks)
{
	bool tells = vcpu->watch.set && asks && is_complete(vcpu);

	if (!tells)
		vcpu->watch.set = 0;
	return !tells || tell(vcpu);
}

void watch_changed(void)
{
	for (unsigned i = 0; i < vcpu_count; i++) {
		if (qemu.qemu_get_cpu((int)i) != vcpus[i].cpu)
			continue;
		vcpus[i].watch.set = 0;
		qemu.tlb_flush(vcpus[i].cpu);
	}
}
