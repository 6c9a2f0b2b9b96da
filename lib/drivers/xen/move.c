/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <poll.h>

#include "events.h"
#include "move.h"

#define WAIT_MS 200

/* Is every other vCPU in that view, so that all can be put into it? */
static bool alone(const struct xen_events *e, unsigned vcpu, unsigned view)
{
	for (unsigned i = 0; i < e->vm->vcpus; i++)
		if (i != vcpu && (e->vcpu[i].view != view || e->vcpu[i].moves))
			return false;
	return true;
}

static uint16_t current_idx(struct xen_events *e, unsigned vcpu)
{
	struct xen_hvm_altp2m_op op = { .cmd = HVMOP_altp2m_get_p2m_idx };

	op.u.get_vcpu_p2m_idx.vcpu_id = vcpu;
	return xen_hyper_altp2m(&e->hyper, &op) < 0 ? 0xffff : op.u.get_vcpu_p2m_idx.altp2m_idx;
}

/* One that is in the middle of a step elsewhere comes back to where that was begun. */
static void let_step(struct xen_events *e, unsigned vcpu)
{
	uint16_t idx = e->views.view[e->vcpu[vcpu].view].idx;

	for (int i = 0; i < WAIT_MS && current_idx(e, vcpu) != idx && !e->watchdog->shared->pauses &&
	     !e->vcpu[vcpu].pending; i++) {
		xen_pump(e);
		poll(NULL, 0, 1);
	}
}

static int switch_all(struct xen_events *e, unsigned view)
{
	struct xen_hvm_altp2m_op op = { .cmd = HVMOP_altp2m_switch_p2m };

	op.u.view.view = e->views.view[view].idx;
	return xen_hyper_altp2m(&e->hyper, &op);
}

/* Where it belongs from now on; false if the answer to its event puts it there. */
static bool assign(struct xen_vcpu *v, unsigned view)
{
	bool waits;

	pthread_mutex_lock(&v->lock);
	v->view = view;
	waits = v->pending;
	pthread_mutex_unlock(&v->lock);
	return !waits;
}

static int go_there(struct xen_events *e, unsigned vcpu, unsigned view)
{
	struct xen_vcpu *v = &e->vcpu[vcpu];

	if (alone(e, vcpu, view) && switch_all(e, view) == 0)
		return 0;
	if (!(e->monitor_caps >> XEN_DOMCTL_MONITOR_EVENT_SINGLESTEP & 1))
		return scry_fail(SCRY_E_UNSUPPORTED, "this processor has no monitor trap flag, by which "
				 "one vCPU of several can be put into another view");
	v->moves = true;
	return xen_arm(e);
}

int xen_move(struct xen_events *e, unsigned vcpu, unsigned view)
{
	let_step(e, vcpu);
	return assign(&e->vcpu[vcpu], view) ? go_there(e, vcpu, view) : 0;
}

int xen_move_out(struct xen_events *e, unsigned view)
{
	uint64_t there = 0, go = 0;
	int ret = 0;

	for (unsigned i = 0; i < e->vm->vcpus; i++)
		if (e->vcpu[i].view == view)
			there |= UINT64_C(1) << i;
	for (unsigned i = 0; i < e->vm->vcpus; i++)
		if (there >> i & 1)
			let_step(e, i);
	/* All of them first: then one call of Xen's may do for all. */
	for (unsigned i = 0; i < e->vm->vcpus; i++)
		if (there >> i & 1 && assign(&e->vcpu[i], 0))
			go |= UINT64_C(1) << i;
	for (unsigned i = 0; i < e->vm->vcpus && !ret; i++)
		if (go >> i & 1)
			ret = go_there(e, i, 0);
	return ret;
}

static bool any_moves(const struct xen_events *e)
{
	for (unsigned i = 0; i < e->vm->vcpus; i++)
		if (e->vcpu[i].moves && !e->vcpu[i].pending)
			return true;
	return false;
}

void xen_moved(struct xen_events *e)
{
	for (int i = 0; i < WAIT_MS && any_moves(e) && !e->watchdog->shared->pauses; i++) {
		xen_pump(e);
		if (any_moves(e))
			poll(NULL, 0, 1);
	}
}

void xen_stepped(struct xen_events *e, unsigned vcpu)
{
	struct xen_vcpu *v = &e->vcpu[vcpu];

	if (!v->moves)
		return;
	v->moves = false;
	if (v->refresh)
		xen_shadow_refresh(e, v->refresh - 1);
	v->refresh = 0;
	/* It is arrived when it is answered; it need not step for it any more. */
	xen_arm(e);
}
