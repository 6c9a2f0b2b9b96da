/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "halt.h"
#include "step.h"

#define BIT(vcpu) (UINT64_C(1) << (vcpu))

static void set(_Atomic uint64_t *mask, unsigned vcpu, bool on)
{
	if (on)
		atomic_fetch_or(mask, BIT(vcpu));
	else
		atomic_fetch_and(mask, ~BIT(vcpu));
}

int xen_halt_step(struct xen_events *e, unsigned vcpu, bool on)
{
	struct xen_shared *s = e->watchdog->shared;
	bool stepped = s->stepping & BIT(vcpu);
	struct xen_domctl_getvcpuinfo info;
	int ret;

	/* Noted first, undone last. */
	if (on)
		set(&s->stepping, vcpu, true);
	ret = xen_step(&e->hyper, vcpu, on);
	info = xen_hyper_vcpu(&e->hyper, vcpu);
	/* Its tick came while it stepped, perhaps. */
	if (!on && stepped && info.blocked)
		xen_wake(&e->hyper, vcpu);
	e->vcpu[vcpu].halt = (struct xen_halt){ .time_ns = info.cpu_time };
	if (!on)
		set(&s->stepping, vcpu, false);
	set(&s->resting, vcpu, false);
	return ret;
}

/* Is the instruction that it goes on with a HLT? */
static bool is_at_hlt(struct xen_events *e, unsigned vcpu, const vm_event_response_t *response)
{
	struct vm_event_regs_x86 regs = e->watchdog->shared->vcpu[vcpu].request.data.regs.x86;
	struct xen_vcpu *v = &e->vcpu[vcpu];

	if (response->flags & VM_EVENT_FLAG_SET_REGISTERS)
		regs.rip = response->data.regs.x86.rip;
	return xen_insn_is_hlt(e->vm, &v->as, &e->views, v->view, &regs);
}

/* Does nobody want it to step without interrupts, HLT or not? */
static bool takes_interrupts(const struct xen_events *e, unsigned vcpu)
{
	for (unsigned i = 0; i < XEN_SUBSCRIPTIONS; i++) {
		const struct scry_subscription *sub = &e->sub[i].sub;

		if (e->sub[i].number && sub->kind == SCRY_EVENT_STEP &&
		    (!sub->vcpus || sub->vcpus & BIT(vcpu)) && sub->step.block_interrupts)
			return false;
	}
	return true;
}

/* Or does its step take it elsewhere, from where it is to come back? */
static bool is_at_home(const struct xen_events *e, unsigned vcpu,
		       const vm_event_response_t *response)
{
	return !e->views.on || response->altp2m_idx == e->views.view[e->vcpu[vcpu].view].idx;
}

static void rest(struct xen_events *e, unsigned vcpu)
{
	struct xen_shared *s = e->watchdog->shared;

	set(&s->resting, vcpu, true);
	xen_step(&e->hyper, vcpu, false);
	set(&s->stepping, vcpu, false);
}

void xen_halt_over(struct xen_events *e, unsigned vcpu)
{
	if (e->watchdog->shared->resting & BIT(vcpu))
		xen_halt_step(e, vcpu, true);
}

void xen_halt_answer(struct xen_events *e, unsigned vcpu, const vm_event_response_t *response)
{
	bool once = response->flags & VM_EVENT_FLAG_FAST_SINGLESTEP;
	struct xen_shared *s = e->watchdog->shared;

	set(&s->halting, vcpu, false);
	if ((!once && !(s->stepping & BIT(vcpu))) || !is_at_hlt(e, vcpu, response))
		return;
	e->vcpu[vcpu].halt = (struct xen_halt){
		.time_ns = xen_hyper_vcpu(&e->hyper, vcpu).cpu_time };
	if (once)
		set(&s->halting, vcpu, true);
	else if (is_at_home(e, vcpu, response) && takes_interrupts(e, vcpu))
		rest(e, vcpu);
}

/* One that has woken, and may have halted once more since. */
static void look_at_rest(struct xen_events *e, unsigned vcpu,
			 const struct xen_domctl_getvcpuinfo *info)
{
	struct xen_halt *halt = &e->vcpu[vcpu].halt;
	bool ran = info->cpu_time > halt->time_ns;

	if (ran && (halt->halted || !info->blocked)) {
		xen_halt_step(e, vcpu, true);
		return;
	}
	halt->halted |= info->blocked;
	halt->time_ns = info->cpu_time;
}

/* One that has halted in a step, and stays so. */
static void look_at_step(struct xen_events *e, unsigned vcpu,
			 const struct xen_domctl_getvcpuinfo *info)
{
	struct xen_halt *halt = &e->vcpu[vcpu].halt;
	bool ran = info->cpu_time > halt->time_ns;

	if (info->blocked && halt->halted && halt->ran && !ran) {
		xen_wake(&e->hyper, vcpu);
		set(&e->watchdog->shared->halting, vcpu, false);
		halt->ran = false;
	}
	halt->ran |= ran;
	halt->halted = info->blocked;
	halt->time_ns = info->cpu_time;
}

static uint64_t watched(const struct xen_shared *s)
{
	return s->stepping | s->resting | s->halting;
}

static void look_at_all(struct xen_events *e)
{
	const struct xen_shared *s = e->watchdog->shared;

	for (unsigned vcpu = 0; vcpu < e->vm->vcpus; vcpu++) {
		struct xen_domctl_getvcpuinfo info;

		if (!(watched(s) & BIT(vcpu)) || s->vcpu[vcpu].waits)
			continue;
		info = xen_hyper_vcpu(&e->hyper, vcpu);
		if (s->resting & BIT(vcpu))
			look_at_rest(e, vcpu, &info);
		else
			look_at_step(e, vcpu, &info);
	}
}

void xen_halt_look(struct xen_events *e)
{
	struct xen_shared *s = e->watchdog->shared;

	if (!watched(s) || s->pauses)
		return;
	pthread_mutex_lock(&e->lock);
	/* Not while the watchdog undoes it all. */
	if (xen_shared_lock(s)) {
		look_at_all(e);
		xen_shared_unlock(s);
	}
	pthread_mutex_unlock(&e->lock);
}

bool xen_halt_rests(const struct xen_events *e)
{
	return e->watchdog->shared->resting;
}
