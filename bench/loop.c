/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stddef.h>
#include <time.h>

#include "loop.h"
#include "pingpong.h"

#define WARM_MS 10
#define RUN_MS  150

#define FIELD(name) (PROBE_VCPU_GPA + offsetof(struct probe_vcpu, name))

static int put(struct scry_vm *vm, uint64_t gpa, const void *value, size_t len)
{
	return scry_write_phys(vm, gpa, value, len) < 0 ? bench_fail("%s", scry_errmsg()) : 0;
}

static int get(struct scry_vm *vm, uint64_t gpa, void *value, size_t len)
{
	return scry_read_phys(vm, gpa, value, len) < 0 ? bench_fail("%s", scry_errmsg()) : 0;
}

static void moment(void)
{
	const struct timespec ts = { .tv_nsec = 2000000 };

	nanosleep(&ts, NULL);
}

/* The guest may have begun to boot just now. */
static int await_probe(struct scry_vm *vm)
{
	double end = bench_now() + 10;
	uint64_t magic = 0;

	do {
		if (get(vm, PROBE_GPA, &magic, sizeof(magic)) < 0)
			return -1;
		if (magic == PROBE_MAGIC)
			return 0;
		moment();
	} while (bench_now() < end);
	return bench_fail("the guest of this figure must be the probe");
}

int loop_start(struct scry_vm *vm, const struct probe_op *list, unsigned count)
{
	const uint64_t repeat = UINT64_MAX;
	const uint32_t none = 0;
	uint32_t sequence;

	if (await_probe(vm) < 0 || get(vm, FIELD(sequence), &sequence, sizeof(sequence)) < 0)
		return -1;
	sequence++;
	if (put(vm, FIELD(op), list, count * sizeof(*list)) ||
	    put(vm, FIELD(repeat), &repeat, sizeof(repeat)) ||
	    put(vm, FIELD(op_count), &count, sizeof(count)) ||
	    put(vm, FIELD(stop), &none, sizeof(none)))
		return -1;
	return put(vm, FIELD(sequence), &sequence, sizeof(sequence));
}

int loop_stop(struct scry_vm *vm)
{
	const uint32_t one = 1;
	double end = bench_now() + 10;
	uint32_t sequence, done;

	if (put(vm, FIELD(stop), &one, sizeof(one)))
		return -1;
	do {
		if (get(vm, FIELD(sequence), &sequence, sizeof(sequence)) ||
		    get(vm, FIELD(done), &done, sizeof(done)))
			return -1;
		if (sequence == done)
			return 0;
	} while (bench_now() < end);
	return bench_fail("the guest's loop does not end");
}

/* The time at which the next round ends, and which one that is. */
static double next_round(struct scry_vm *vm, uint64_t *rounds)
{
	double end = bench_now() + 10, now;
	uint64_t before = *rounds;

	do {
		now = bench_now();
		if (get(vm, FIELD(rounds), rounds, sizeof(*rounds)))
			return -1;
		if (now > end)
			return bench_fail("the guest's loop does not go on");
	} while (*rounds == before);
	return now;
}

static double watch(struct scry_vm *vm, const void *unused)
{
	uint64_t first, last;
	double start, end;

	(void)unused;
	if (get(vm, FIELD(rounds), &first, sizeof(first)))
		return -1;
	start = next_round(vm, &first);
	moment();
	last = first;
	end = next_round(vm, &last);
	return start < 0 || end < 0 ? -1 : (end - start) * 1e9 / (double)(last - first);
}

static double answer(struct scry_vm *vm, const void *arg)
{
	struct scry_reply reply = *(const struct scry_reply *)arg;
	unsigned view = reply.view;
	double start = bench_now();
	struct scry_event event;

	for (int i = 0; i < PINGPONG_BATCH; i++) {
		int n = scry_event_wait(vm, &event, 1, 1000);

		if (n > 0)
			reply.view = event.view ? 0 : view;
		if (n < 0 || (n && scry_reply(vm, &event, &reply) < 0))
			return bench_fail("%s", scry_errmsg());
		if (!n)
			return bench_fail("no event came for a second");
	}
	return (bench_now() - start) * 1e9 / PINGPONG_BATCH;
}

/* The median of what sample() says for a while. */
static double median(struct scry_vm *vm, double (*sample)(struct scry_vm *vm, const void *arg),
		     const void *arg)
{
	double start = bench_now();
	struct samples samples = { .count = 0 };

	do {
		bool warm = bench_now() > start + WARM_MS / 1e3;
		double ns = sample(vm, arg);

		if (ns < 0)
			return -1;
		if (warm)
			samples_add(&samples, ns);
	} while (!samples.count || bench_now() < start + (WARM_MS + RUN_MS) / 1e3);
	return bench_median(samples.value, samples.count);
}

double loop_round(struct scry_vm *vm)
{
	return median(vm, watch, NULL);
}

double loop_list(struct scry_vm *vm, const struct probe_op *list, unsigned count)
{
	double ns;

	if (loop_start(vm, list, count) < 0)
		return -1;
	ns = loop_round(vm);
	return loop_stop(vm) < 0 ? -1 : ns;
}

double loop_answered(struct scry_vm *vm, const struct scry_reply *reply)
{
	const struct scry_reply plain = { .sz = sizeof(plain) };

	return median(vm, answer, reply ? reply : &plain);
}

int loop_subscribe(struct scry_vm *vm, const struct scry_subscription *sub)
{
	int ret = scry_subscribe(vm, sub);

	return ret < 0 ? bench_fail("%s", scry_errmsg()) : ret;
}

int loop_subscribe_cpuid(struct scry_vm *vm, uint32_t leaf)
{
	return loop_subscribe(vm, &(struct scry_subscription){
		.sz = sizeof(struct scry_subscription), .kind = SCRY_EVENT_CPUID,
		.cpuid = { .use_leaf = 1, .leaf = leaf } });
}

int loop_drain(struct scry_vm *vm)
{
	struct scry_event event;
	int n;

	while ((n = scry_event_wait(vm, &event, 1, 5)) > 0)
		if (scry_reply_action(vm, &event, SCRY_CONTINUE) < 0)
			return bench_fail("%s", scry_errmsg());
	return n < 0 ? bench_fail("%s", scry_errmsg()) : 0;
}

int loop_unsubscribe(struct scry_vm *vm, int subscription)
{
	if (subscription > 0 && scry_unsubscribe(vm, subscription) < 0)
		return bench_fail("%s", scry_errmsg());
	return loop_drain(vm);
}
