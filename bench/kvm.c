/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The probe under KVM, where each event is an exit of the VM, beside KVM's bare exit. */
#include "bare_kvm.h"
#include "loop.h"
#include "pingpong.h"

#define RUN_MS 150

struct work {
	struct scry_vm *vm;
	struct bare_kvm *bare;
	struct pingpong *pingpong;
};

/* What telling of a WRMSR, and carrying it out, adds to it. */
static double round_trip(void *arg)
{
	const struct work *w = arg;
	double with, without = loop_round(w->vm);
	int subscription = loop_subscribe(w->vm, &(struct scry_subscription){
		.sz = sizeof(struct scry_subscription), .kind = SCRY_EVENT_MSR_WRITE,
		.msr = { .count = 1, .index = { BARE_MSR } } });

	if (subscription < 0)
		return -1;
	with = loop_answered(w->vm, NULL);
	return loop_unsubscribe(w->vm, subscription) < 0 ? -1 : bench_difference(with, without);
}

/* With the guest at rest. */
static double exit_and_pingpong(void *arg)
{
	const struct work *w = arg;
	double exit, trip;

	if (scry_pause(w->vm) < 0)
		return bench_fail("%s", scry_errmsg());
	exit = bare_kvm_ns(w->bare, RUN_MS);
	trip = pingpong_ns(w->pingpong, RUN_MS);
	if (scry_resume(w->vm) < 0)
		return bench_fail("%s", scry_errmsg());
	return exit < 0 ? -1 : exit + trip;
}

int bench_kvm_msr(const struct bench *b, const char *name)
{
	const struct probe_op op = LOOP_OP(WRMSR, .arg = BARE_MSR);
	struct work w = { .vm = b->vm };
	int ret = -1;

	if (loop_start(b->vm, &op, 1) < 0)
		return -1;
	w.pingpong = pingpong_start();
	w.bare = bare_kvm_start(BARE_WRMSR);
	if (w.pingpong && w.bare)
		ret = bench_pairs(b, name, "ns", round_trip, exit_and_pingpong, &w);
	bare_kvm_stop(w.bare);
	pingpong_stop(w.pingpong);
	return loop_stop(b->vm) < 0 ? -1 : ret;
}
