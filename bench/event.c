/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The round trip of a CPUID event, on the probe.  What a round costs with the
 * event, less what it costs when the subscription's filter refuses the event
 * beside the vCPU, is what telling the client, its reply and the way back cost.
 */
#include <string.h>

#include "event.h"
#include "pingpong.h"

#define RUN_MS 150

struct work {
	struct scry_vm *vm;
	struct pingpong *pingpong;
	bool whole;		/* the whole round of the guest's loop */
};

double event_round_trip(struct scry_vm *vm, const struct scry_reply *reply, bool whole)
{
	double with, without = loop_round(vm);
	int subscription = loop_subscribe_cpuid(vm, LOOP_LEAF);

	if (subscription < 0 || without < 0)
		return -1;
	with = loop_answered(vm, reply);
	if (loop_unsubscribe(vm, subscription) < 0 || with < 0)
		return -1;
	return whole ? with : bench_difference(with, without);
}

static double round_trip(void *arg)
{
	struct work *w = arg;

	return event_round_trip(w->vm, NULL, w->whole);
}

/* With the guest at rest, so that both sides have a processor as the measured have. */
static double bare(void *arg)
{
	struct work *w = arg;
	double ns;

	if (scry_pause(w->vm) < 0)
		return bench_fail("%s", scry_errmsg());
	ns = pingpong_ns(w->pingpong, RUN_MS);
	return scry_resume(w->vm) < 0 ? bench_fail("%s", scry_errmsg()) : ns;
}

int event_loop_start(struct scry_vm *vm)
{
	const struct probe_op op = LOOP_OP(CPUID, .arg = LOOP_LEAF);

	if (loop_start(vm, &op, 1) < 0)
		return -1;
	/* Armed all the time, and refused by the filter. */
	return loop_subscribe_cpuid(vm, LOOP_LEAF + 1);
}

int event_loop_stop(struct scry_vm *vm, int refused)
{
	return loop_unsubscribe(vm, refused) < 0 ? -1 : loop_stop(vm);
}

int bench_event(const struct bench *b, const char *name)
{
	struct work w = { .vm = b->vm, .whole = !strcmp(name, "event.loop") };
	int refused = event_loop_start(b->vm), ret;

	if (refused < 0)
		return -1;
	w.pingpong = pingpong_start();
	ret = w.pingpong ? bench_pairs(b, name, "ns", round_trip, bare, &w) : -1;
	pingpong_stop(w.pingpong);
	return event_loop_stop(b->vm, refused) < 0 ? -1 : ret;
}
