/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "../stop.h"
#include "gdb.h"

#define SLICE_MS 200	/* the longest until a signal that came before the wait is seen */

/* One time of going on. */
struct run {
	struct gdb *g;
	const enum go *go;
	int step;		/* subscription, or 0 */
	uint64_t stepping;	/* vCPUs that it is for */
	bool gone;		/* the client */
};

/* Subscribe to the steps of those vCPUs; what was subscribed before ends then. */
static int set_steps(struct run *r, uint64_t vcpus)
{
	struct scry_subscription sub = { .sz = sizeof(sub), .kind = SCRY_EVENT_STEP, .vcpus = vcpus };
	int before = r->step;

	/* As a user expects: not into the handler of an interrupt. */
	sub.step.block_interrupts = 1;
	r->step = vcpus ? scry_subscribe(r->g->vm, &sub) : 0;
	r->stepping = vcpus;
	if (before > 0)
		scry_unsubscribe(r->g->vm, before);
	return r->step < 0 ? r->step : 0;
}

static int answer(struct gdb *g, const struct scry_event *e)
{
	return scry_reply_action(g->vm, e, SCRY_CONTINUE);
}

static void stop_for(struct gdb *g, const struct scry_event *e, const struct point *p)
{
	g->event[e->vcpu] = *e;
	g->waits[e->vcpu] = true;
	g->watched[e->vcpu] = p;
	g->untold[e->vcpu] = true;
}

/* An access that is watched takes place first: GDB looks at what has become of it. */
static int note_access(struct run *r, const struct scry_event *e)
{
	const struct point *p = gdb_point_of_access(r->g, e);
	int ret = 0;

	if (p) {
		r->g->watched[e->vcpu] = p;
		if (!(r->stepping >> e->vcpu & 1))
			ret = set_steps(r, r->stepping | UINT64_C(1) << e->vcpu);
	}
	return ret < 0 ? ret : answer(r->g, e);
}

static int take(struct run *r, const struct scry_event *e)
{
	struct gdb *g = r->g;
	const struct point *p;

	switch (e->kind) {
	case SCRY_EVENT_MEMORY:
		return note_access(r, e);
	case SCRY_EVENT_BREAKPOINT:
		p = gdb_point_of_break(g, e);
		if (!p)
			return answer(g, e);
		stop_for(g, e, p);
		return 0;
	case SCRY_EVENT_STEP:
		if (!g->watched[e->vcpu] && r->go[e->vcpu] != GO_STEP)
			return answer(g, e);
		stop_for(g, e, g->watched[e->vcpu]);
		return 0;
	default:
		return answer(g, e);
	}
}

static int take_events(struct run *r)
{
	struct scry_event events[GDB_VCPUS];
	int n = scry_event_wait(r->g->vm, events, GDB_VCPUS, 0), all = n;

	for (int i = 0; i < n; i++) {
		int ret = take(r, &events[i]);

		if (ret < 0)
			return ret;
	}
	return all;
}

/* Tell GDB of one that it has not been told of; false if there is none. */
static bool tell_one(struct gdb *g, const enum go *go)
{
	for (unsigned i = 0; i < g->vcpus; i++) {
		if (!g->untold[i] || go[i] == GO_STAY)
			continue;
		g->untold[i] = false;
		g->signal = GDB_SIGTRAP;
		g->stopped = g->vcpu = i;
		g->hit = g->watched[i];
		return true;
	}
	return false;
}

/* Does the client want it to stop?  Anything else that it says now waits. */
static bool interrupted(struct run *r)
{
	char *data;
	size_t len;

	if (!gdb_receive(r->g)) {
		r->gone = true;
		return true;
	}
	return packet_next(&r->g->in, &data, &len) == PACKET_INTERRUPT;
}

/* Until there is something to tell of: 0, or a failure (the VM has ended). */
static int wait_for_stop(struct run *r)
{
	struct gdb *g = r->g;

	for (;;) {
		int event_fd = scry_event_fd(g->vm), n;

		do
			n = take_events(r);
		while (n > 0);
		if (n < 0)
			return n;
		if (tell_one(g, r->go))
			return 0;
		if (event_fd < 0)
			return event_fd;
		if (stop_asked()) {
			r->gone = true;
			return 0;
		}
		if (gdb_wait(g, event_fd, SLICE_MS) && interrupted(r)) {
			g->signal = GDB_SIGINT;
			g->stopped = g->vcpu;
			g->hit = NULL;
			return 0;
		}
	}
}

static int let_go(struct run *r)
{
	struct gdb *g = r->g;
	uint64_t steps = 0;
	int ret;

	for (unsigned i = 0; i < g->vcpus; i++)
		if (r->go[i] == GO_STEP)
			steps |= UINT64_C(1) << i;
	ret = set_steps(r, steps);
	for (unsigned i = 0; ret >= 0 && i < g->vcpus; i++) {
		if (r->go[i] == GO_STAY) {
			ret = scry_vcpu_pause(g->vm, i);
		} else if (g->waits[i]) {
			g->waits[i] = false;
			g->watched[i] = NULL;
			ret = answer(g, &g->event[i]);
		}
	}
	return ret < 0 ? ret : scry_resume(g->vm);
}

static int hold_again(struct run *r)
{
	struct gdb *g = r->g;
	int ret = scry_pause(g->vm);

	for (unsigned i = 0; ret >= 0 && i < g->vcpus; i++)
		if (r->go[i] == GO_STAY)
			ret = scry_vcpu_resume(g->vm, i);
	/* What came up on other vCPUs until then GDB is told of next time. */
	while (ret >= 0) {
		ret = take_events(r);
		if (!ret)
			break;
	}
	return ret < 0 ? ret : set_steps(r, 0);
}

bool gdb_run(struct gdb *g, const enum go *go)
{
	struct run r = { .g = g, .go = go };
	int ret;

	gdb_forget_as(g);
	/* Those whose breakpoint has been taken away meanwhile are none any more. */
	for (unsigned i = 0; i < g->vcpus; i++)
		if (g->untold[i] && g->event[i].kind == SCRY_EVENT_BREAKPOINT &&
		    !gdb_point_of_break(g, &g->event[i]))
			g->untold[i] = false;
	if (tell_one(g, go)) {
		gdb_tell_stop(g);
		return true;
	}
	ret = gdb_points_arm(g);
	if (ret >= 0)
		ret = let_go(&r);
	if (ret >= 0)
		ret = wait_for_stop(&r);
	if (ret >= 0 && !r.gone)
		ret = hold_again(&r);
	if (r.gone)
		return false;
	if (ret == SCRY_E_GONE) {
		gdb_vm_ended(g);
		out_text(&g->out, "W00");	/* as of a program that has come to its end */
	} else if (ret < 0) {
		gdb_fail_lib(g);
	} else {
		gdb_tell_stop(g);
	}
	return true;
}
