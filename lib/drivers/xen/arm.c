/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "breakpoints.h"
#include "events.h"
#include "halt.h"

/* Have Xen tell of what the subscriptions want, and of nothing else. */

struct wanted {
	struct xen_armed armed;
	uint64_t stepping;	/* vCPUs */
	uint64_t msrs[XEN_MSR_GROUPS][0x2000 / 64];
};

/*
 * What a subscription to every MSR means: those that Xen 4.17 lets a guest write
 * are among them (x86/msr.c, hvm/hvm.c); a write to another raises #GP before Xen
 * would tell of it.
 */
static const struct {
	uint32_t first, last;
} all_msrs[] = {
	{ 0x0, 0x2ff }, { 0x3f0, 0x4ff }, { 0x560, 0x5ff }, { 0x6a0, 0x6ff }, { 0x800, 0x8ff },
	{ 0xd90, 0xda0 }, { 0xc0000080, 0xc0000110 },
};

static void want_msr(struct wanted *w, uint32_t msr)
{
	for (unsigned group = 0; group < XEN_MSR_GROUPS; group++)
		if (msr - xen_msr_first(group) < 0x2000)
			w->msrs[group][(msr & 0x1fff) / 64] |= UINT64_C(1) << msr % 64;
}

static void want_msrs(struct wanted *w, const struct scry_subscription *s)
{
	for (uint32_t i = 0; i < s->msr.count; i++)
		want_msr(w, s->msr.index[i]);
	if (s->msr.count)
		return;
	for (unsigned i = 0; i < sizeof(all_msrs) / sizeof(all_msrs[0]); i++)
		for (uint32_t msr = all_msrs[i].first; msr <= all_msrs[i].last; msr++)
			want_msr(w, msr);
}

static void want_cr(struct wanted *w, unsigned index, uint64_t ignore)
{
	w->armed.cr_ignore[index] = w->armed.cr[index] ? w->armed.cr_ignore[index] & ignore : ignore;
	w->armed.cr[index] = true;
}

/* #DB and #BP Xen tells of whenever they come; of others, when it injects them. */
static bool wants_next(const struct scry_subscription *s)
{
	const uint64_t *v = s->interrupt.vectors;

	return v[0] & ~UINT64_C(0xa) || v[1] || v[2] || v[3] || !v[0];
}

static void want(struct wanted *w, const struct scry_subscription *s, unsigned vcpus)
{
	static const uint8_t monitor[SCRY_EVENT_COUNT] = {
		[SCRY_EVENT_CPUID] = XEN_DOMCTL_MONITOR_EVENT_CPUID,
		[SCRY_EVENT_INT3] = XEN_DOMCTL_MONITOR_EVENT_SOFTWARE_BREAKPOINT,
		[SCRY_EVENT_DESCRIPTOR] = XEN_DOMCTL_MONITOR_EVENT_DESC_ACCESS,
		[SCRY_EVENT_HYPERCALL] = XEN_DOMCTL_MONITOR_EVENT_GUEST_REQUEST,
		[SCRY_EVENT_INTERRUPT] = XEN_DOMCTL_MONITOR_EVENT_DEBUG_EXCEPTION,
		[SCRY_EVENT_STEP] = XEN_DOMCTL_MONITOR_EVENT_SINGLESTEP,
	};

	switch (s->kind) {
	case SCRY_EVENT_CR_WRITE:
		want_cr(w, s->cr.cr == 0 ? VM_EVENT_X86_CR0 : s->cr.cr == 3 ? VM_EVENT_X86_CR3 :
			VM_EVENT_X86_CR4, s->cr.on_change && s->cr.mask ? ~s->cr.mask : 0);
		return;
	case SCRY_EVENT_XSETBV:
		want_cr(w, VM_EVENT_X86_XCR0, 0);
		return;
	case SCRY_EVENT_MSR_WRITE:
		want_msrs(w, s);
		return;
	case SCRY_EVENT_MEMORY:
		return;
	case SCRY_EVENT_STEP:
		w->stepping |= s->vcpus ? s->vcpus : UINT64_MAX >> (64 - vcpus);
		break;
	case SCRY_EVENT_INTERRUPT:
		w->armed.next |= wants_next(s);
		w->armed.on[XEN_DOMCTL_MONITOR_EVENT_SOFTWARE_BREAKPOINT] = true;
		break;
	default:
		break;
	}
	w->armed.on[monitor[s->kind]] = true;
}

static void gather(struct xen_events *e, struct wanted *w)
{
	for (unsigned i = 0; i < XEN_SUBSCRIPTIONS; i++)
		if (e->sub[i].number)
			want(w, &e->sub[i].sub, e->vm->vcpus);
	if (xen_breakpoints_any(e))
		w->armed.on[XEN_DOMCTL_MONITOR_EVENT_SOFTWARE_BREAKPOINT] = true;
	/* Without it a vCPU does not even come back from a step in another view. */
	if (e->views.on && e->monitor_caps >> XEN_DOMCTL_MONITOR_EVENT_SINGLESTEP & 1)
		w->armed.on[XEN_DOMCTL_MONITOR_EVENT_SINGLESTEP] = true;
	for (unsigned i = 0; i < e->vm->vcpus; i++)
		w->stepping |= (uint64_t)e->vcpu[i].moves << i;
}

static int monitor(struct xen_events *e, struct xen_domctl *op, bool on, uint32_t event)
{
	int ret;

	op->cmd = XEN_DOMCTL_monitor_op;
	op->u.monitor_op.op = on ? XEN_DOMCTL_MONITOR_OP_ENABLE : XEN_DOMCTL_MONITOR_OP_DISABLE;
	op->u.monitor_op.event = event;
	ret = xen_hyper_domctl(&e->hyper, op);
	return ret == -EEXIST ? 0 : ret;
}

static int set_cr(struct xen_events *e, unsigned index, bool on, uint64_t ignore)
{
	struct xen_domctl op = { 0 };

	op.u.monitor_op.u.mov_to_cr.index = (uint8_t)index;
	op.u.monitor_op.u.mov_to_cr.sync = 1;
	op.u.monitor_op.u.mov_to_cr.bitmask = ignore;
	return monitor(e, &op, on, XEN_DOMCTL_MONITOR_EVENT_WRITE_CTRLREG);
}

static int arm_crs(struct xen_events *e, const struct xen_armed *want)
{
	struct xen_armed *have = &e->armed;
	int ret = 0;

	for (unsigned i = 0; i < 4 && !ret; i++) {
		if (want->cr[i] == have->cr[i] && want->cr_ignore[i] == have->cr_ignore[i])
			continue;
		if (have->cr[i])
			ret = set_cr(e, i, false, 0);
		have->cr[i] = false;
		if (!ret && want->cr[i])
			ret = set_cr(e, i, true, want->cr_ignore[i]);
		have->cr[i] = want->cr[i] && !ret;
		have->cr_ignore[i] = want->cr_ignore[i];
	}
	return ret;
}

static int set_msr(struct xen_events *e, uint32_t msr, bool on)
{
	struct xen_domctl op = { 0 };

	op.u.monitor_op.u.mov_to_msr.msr = msr;
	return monitor(e, &op, on, XEN_DOMCTL_MONITOR_EVENT_MOV_TO_MSR);
}

static int arm_msrs(struct xen_events *e, uint64_t wanted[XEN_MSR_GROUPS][0x2000 / 64])
{
	uint64_t (*have)[0x2000 / 64] = e->watchdog->shared->msrs;
	int ret = 0;

	for (unsigned group = 0; group < XEN_MSR_GROUPS; group++)
		for (unsigned word = 0; word < 0x2000 / 64; word++) {
			uint64_t changes = have[group][word] ^ wanted[group][word];

			for (; changes && !ret; changes &= changes - 1) {
				unsigned bit = (unsigned)__builtin_ctzll(changes);
				bool on = wanted[group][word] >> bit & 1;

				/* Noted first, undone last. */
				if (on)
					have[group][word] |= UINT64_C(1) << bit;
				ret = set_msr(e, xen_msr_first(group) + word * 64 + bit, on);
				if (!on)
					have[group][word] &= ~(UINT64_C(1) << bit);
			}
		}
	return ret;
}

static int arm_others(struct xen_events *e, const struct xen_armed *want)
{
	int ret = 0;

	e->armed.next = want->next;
	for (uint32_t event = XEN_DOMCTL_MONITOR_EVENT_SINGLESTEP;
	     event <= XEN_DOMCTL_MONITOR_EVENT_VMEXIT && !ret; event++) {
		struct xen_domctl op = { 0 };

		if (want->on[event] == e->armed.on[event])
			continue;
		if (event == XEN_DOMCTL_MONITOR_EVENT_DEBUG_EXCEPTION)
			op.u.monitor_op.u.debug_exception.sync = 1;
		if (event == XEN_DOMCTL_MONITOR_EVENT_GUEST_REQUEST)
			op.u.monitor_op.u.guest_request.sync = 1;
		ret = monitor(e, &op, want->on[event], event);
		e->armed.on[event] = want->on[event] && !ret;
	}
	return ret;
}

static int arm_steps(struct xen_events *e, uint64_t wanted)
{
	const struct xen_shared *s = e->watchdog->shared;
	uint64_t changes = wanted ^ (s->stepping | s->resting);
	int ret = 0;

	for (; changes && !ret; changes &= changes - 1) {
		unsigned vcpu = (unsigned)__builtin_ctzll(changes);

		ret = xen_halt_step(e, vcpu, wanted >> vcpu & 1);
	}
	return ret;
}

int xen_arm(struct xen_events *e)
{
	struct wanted w = { 0 };
	int ret;

	gather(e, &w);
	ret = xen_hold(e);
	if (ret < 0)
		return ret;
	ret = arm_crs(e, &w.armed);
	if (!ret)
		ret = arm_msrs(e, w.msrs);
	if (!ret)
		ret = arm_others(e, &w.armed);
	if (!ret)
		ret = arm_steps(e, w.stepping);
	xen_let_go(e);
	if (!ret)
		return 0;
	return scry_fail(ret == -ESRCH ? SCRY_E_GONE : SCRY_E_IO, "Xen cannot watch VM %s so: %s",
			 e->vm->name, strerror(-ret));
}
