/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "../common/stop.h"
#include "gdb.h"

#define SLICE_MS 200	/* the longest until a signal that came before the wait is seen */

/* One time of going on. */
struct run {
	struct gdb *g;
	const enum go *go;
	int step;		/* subscription, or 0 */
	uint64_t stepping;	/* vCPUs that it is for */
	uint64_t held;		/* vCPUs that stay where they are */
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
	case SCRY_EVENT_WATCHPOINT:
		p = e->kind == SCRY_EVENT_BREAKPOINT ? gdb_point_of_break(g, e) :
						       gdb_point_of_watch(g, e);
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

/* Has the client said that it is to stop?  Nothing else has an answer while it runs. */
static bool interrupted(struct gdb *g)
{
	enum packet_kind kind;
	char *data;
	size_t len;

	while ((kind = packet_next(&g->in, &data, &len)) != PACKET_NONE)
		if (kind == PACKET_INTERRUPT)
			return true;
	return false;
}

static void stop_by_client(struct gdb *g)
{
	g->signal = GDB_SIGINT;
	g->stopped = g->vcpu;
	g->hit = NULL;
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
		/* It may have come in one piece with what let the VM go on. */
		if (interrupted(g)) {
			stop_by_client(g);
			return 0;
		}
		r->gone = stop_asked() || (gdb_wait(g, event_fd, SLICE_MS) && !gdb_receive(g));
		if (r->gone)
			return 0;
	}
}

/* Those that stay are paused by themselves; a driver may not be able to. */
static int hold_back(struct run *r)
{
	for (unsigned i = 0; i < r->g->vcpus; i++) {
		int ret = r->go[i] == GO_STAY ? scry_vcpu_pause(r->g->vm, i) : 0;

		if (ret < 0)
			return ret;
		if (r->go[i] == GO_STAY)
			r->held |= UINT64_C(1) << i;
	}
	return 0;
}

static int answer_waiting(struct run *r)
{
	struct gdb *g = r->g;
	int ret = 0;

	for (unsigned i = 0; ret >= 0 && i < g->vcpus; i++) {
		if (r->go[i] == GO_STAY || !g->waits[i])
			continue;
		g->waits[i] = false;
		g->watched[i] = NULL;
		ret = answer(g, &g->event[i]);
	}
	return ret;
}

/* While the VM is paused: of this time of going on nothing remains. */
static int undo(struct run *r)
{
	int ret = set_steps(r, 0);

	for (unsigned i = 0; i < r->g->vcpus; i++) {
		int one = r->held >> i & 1 ? scry_vcpu_resume(r->g->vm, i) : 0;

		ret = one < 0 ? one : ret;
	}
	r->held = 0;
	return ret;
}

static int let_go(struct run *r)
{
	uint64_t steps = 0;
	int ret = hold_back(r);

	for (unsigned i = 0; i < r->g->vcpus; i++)
		if (r->go[i] == GO_STEP)
			steps |= UINT64_C(1) << i;
	if (ret >= 0)
		ret = set_steps(r, steps);
	if (ret >= 0)
		ret = answer_waiting(r);
	if (ret >= 0)
		ret = scry_resume(r->g->vm);
	if (ret < 0)
		undo(r);
	return ret;
}

static int hold_again(struct run *r)
{
	int ret = scry_pause(r->g->vm), undone;

	/* What came up on other vCPUs until then GDB is told of next time. */
	while (ret >= 0) {
		ret = take_events(r);
		if (!ret)
			break;
	}
	undone = undo(r);
	return ret < 0 ? ret : undone;
}

/* The VM goes on and comes to a stop: 0 or a failure. */
static int go_and_stop(struct run *r)
{
	int ret = let_go(r), held;

	if (ret < 0)
		return ret;
	ret = wait_for_stop(r);
	if (r->gone)
		return 0;
	held = hold_again(r);
	return ret < 0 ? ret : held;
}

/* What GDB has not been told of is nothing any more if its point has been taken away. */
static void forget_deleted(struct gdb *g)
{
	for (unsigned i = 0; i < g->vcpus; i++) {
		const struct point *p = g->watched[i];

		if (!p || p->wanted)
			continue;
		/* Another breakpoint may be at the same place. */
		if (g->untold[i] && g->event[i].kind == SCRY_EVENT_BREAKPOINT)
			p = gdb_point_of_break(g, &g->event[i]);
		g->watched[i] = p && p->wanted ? p : NULL;
		g->untold[i] = g->untold[i] && g->watched[i];
	}
}

bool gdb_run(struct gdb *g, const enum go *go)
{
	struct run r = { .g = g, .go = go };
	int ret;

	gdb_forget_as(g);
	forget_deleted(g);
	if (tell_one(g, go)) {
		gdb_tell_stop(g);
		return true;
	}
	ret = gdb_points_arm(g);
	if (ret >= 0)
		ret = go_and_stop(&r);
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
