/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The round trip of a CPUID event, on the probe: a loop in the guest executes
 * CPUID and counts.  What a round costs with the event, less what it costs
 * when the subscription's filter refuses the event beside the vCPU, is what
 * telling the client, its reply and the way back cost.
 */
#include <stddef.h>
#include <string.h>
#include <time.h>

#include "pingpong.h"
#include "probe.h"

#define LEAF    0x40000123u	/* that the probe's loop asks for */
#define WARM_MS 10
#define RUN_MS  150

struct work {
	struct scry_vm *vm;
	struct pingpong *pingpong;
	bool whole;		/* the whole round of the guest's loop */
};

#define FIELD(name) (PROBE_VCPU_GPA + offsetof(struct probe_vcpu, name))

static int put(struct scry_vm *vm, uint64_t gpa, const void *value, size_t len)
{
	return scry_write_phys(vm, gpa, value, len) < 0 ? bench_fail("%s", scry_errmsg()) : 0;
}

/* The guest may have begun to boot just now. */
static int await_probe(struct scry_vm *vm)
{
	const struct timespec moment = { .tv_nsec = 10000000 };
	double end = bench_now() + 10;
	uint64_t magic = 0;

	do {
		if (scry_read_phys_u64(vm, PROBE_GPA, &magic) < 0)
			return bench_fail("%s", scry_errmsg());
		if (magic == PROBE_MAGIC)
			return 0;
		nanosleep(&moment, NULL);
	} while (bench_now() < end);
	return bench_fail("the guest of an event figure must be the probe");
}

/* Have vCPU 0 execute CPUID for ever. */
static int start_loop(struct scry_vm *vm)
{
	const struct probe_op op = { .code = PROBE_OP_CPUID, .arg = LEAF };
	const uint64_t repeat = UINT64_MAX;
	const uint32_t one = 1, none = 0;
	uint32_t sequence;

	if (await_probe(vm) < 0)
		return -1;
	if (scry_read_phys(vm, FIELD(sequence), &sequence, sizeof(sequence)) < 0)
		return bench_fail("%s", scry_errmsg());
	sequence++;
	if (put(vm, FIELD(op), &op, sizeof(op)) ||
	    put(vm, FIELD(repeat), &repeat, sizeof(repeat)) ||
	    put(vm, FIELD(op_count), &one, sizeof(one)) ||
	    put(vm, FIELD(stop), &none, sizeof(none)))
		return -1;
	return put(vm, FIELD(sequence), &sequence, sizeof(sequence));
}

static int stop_loop(struct scry_vm *vm)
{
	const uint32_t one = 1;

	return put(vm, FIELD(stop), &one, sizeof(one));
}

static int subscribe(struct scry_vm *vm, uint32_t leaf)
{
	const struct scry_subscription sub = {
		.sz = sizeof(sub), .kind = SCRY_EVENT_CPUID,
		.cpuid = { .use_leaf = 1, .leaf = leaf },
	};
	int ret = scry_subscribe(vm, &sub);

	return ret < 0 ? bench_fail("%s", scry_errmsg()) : ret;
}

/* Answer the next events, one of them each round of the guest's loop: nanoseconds of a round. */
static double answer(struct scry_vm *vm)
{
	double start = bench_now();
	struct scry_event event;

	for (int i = 0; i < PINGPONG_BATCH; i++) {
		int n = scry_event_wait(vm, &event, 1, 1000);

		if (n < 0 || (n && scry_reply_action(vm, &event, SCRY_CONTINUE) < 0))
			return bench_fail("%s", scry_errmsg());
		if (!n)
			return bench_fail("no event came for a second");
	}
	return (bench_now() - start) * 1e9 / PINGPONG_BATCH;
}

/* Let the guest's loop go on by itself: nanoseconds of a round. */
static double watch(struct scry_vm *vm)
{
	const struct timespec moment = { .tv_nsec = 2000000 };
	double start = bench_now();
	uint64_t before, after;

	if (scry_read_phys_u64(vm, FIELD(rounds), &before))
		return bench_fail("%s", scry_errmsg());
	do {
		nanosleep(&moment, NULL);
		if (scry_read_phys_u64(vm, FIELD(rounds), &after))
			return bench_fail("%s", scry_errmsg());
		if (bench_now() > start + 10)
			return bench_fail("the guest's loop does not go on");
	} while (after == before);
	return (bench_now() - start) * 1e9 / (double)(after - before);
}

static double round_ns(struct scry_vm *vm, double (*round)(struct scry_vm *vm))
{
	double start = bench_now();
	struct samples samples = { .count = 0 };

	do {
		bool warm = bench_now() > start + WARM_MS / 1e3;
		double ns = round(vm);

		if (ns < 0)
			return -1;
		if (warm)
			samples_add(&samples, ns);
	} while (!samples.count || bench_now() < start + (WARM_MS + RUN_MS) / 1e3);
	return bench_median(samples.value, samples.count);
}

/* Events that are under way when a subscription ends. */
static int drain(struct scry_vm *vm)
{
	struct scry_event event;
	int n;

	while ((n = scry_event_wait(vm, &event, 1, 5)) > 0)
		if (scry_reply_action(vm, &event, SCRY_CONTINUE) < 0)
			return bench_fail("%s", scry_errmsg());
	return n < 0 ? bench_fail("%s", scry_errmsg()) : 0;
}

static double round_trip(void *arg)
{
	struct work *w = arg;
	double with, without = round_ns(w->vm, watch);
	int subscription = subscribe(w->vm, LEAF);

	if (subscription < 0 || without < 0)
		return -1;
	with = round_ns(w->vm, answer);
	if (scry_unsubscribe(w->vm, subscription) < 0)
		return bench_fail("%s", scry_errmsg());
	if (with < 0 || drain(w->vm) < 0)
		return -1;
	return w->whole ? with : with - without;
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

int bench_event(const struct bench *b, const char *name)
{
	struct work w = { .vm = b->vm, .whole = !strcmp(name, "event.loop") };
	int refused, ret;

	if (start_loop(b->vm) < 0)
		return -1;
	/* Armed all the time, and refused by the filter. */
	refused = subscribe(b->vm, LEAF + 1);
	w.pingpong = pingpong_start();
	ret = refused < 0 || !w.pingpong ? -1 : bench_pairs(b, name, "ns", round_trip, bare, &w);
	pingpong_stop(w.pingpong);
	if (refused >= 0)
		scry_unsubscribe(b->vm, refused);
	return stop_loop(b->vm) < 0 ? -1 : ret;
}
