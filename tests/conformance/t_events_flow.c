/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events of all kinds together: none lost, none doubled, none left over. */
#include <poll.h>
#include <pthread.h>

#include "conformance.h"

typedef unsigned long long ull;

#define N many(2000)
#define ALL_EVENTS { SCRY_CAP_EVENT_CR_WRITE, SCRY_CAP_EVENT_CPUID, SCRY_CAP_EVENT_INT3 }

static int subscribe_all(struct ctx *c)
{
	for (uint32_t cr = 0; cr <= 4; cr++)
		if (cr == 0 || cr >= 3)
			OK(c, subscribe(c, SUB(CR_WRITE, .cr = { .cr = cr })));
	OK(c, subscribe(c, SUB(CPUID)));
	if (scry_cap(c->vm, SCRY_CAP_EVENT_MSR_READ, NULL))
		OK(c, subscribe(c, SUB(MSR_READ)));
	OK(c, subscribe(c, SUB(MSR_WRITE)));
	OK(c, subscribe(c, SUB(INT3)));
	return 0;
}

#define MIXED 10	/* operations of mixed_list() */
static const uint64_t mixed_counts[SCRY_EVENT_COUNT] = {
	[SCRY_EVENT_CR_WRITE] = 2, [SCRY_EVENT_CPUID] = 2, [SCRY_EVENT_MSR_READ] = 1,
	[SCRY_EVENT_MSR_WRITE] = 1, [SCRY_EVENT_INT3] = 2,
};

static void mixed_list(const struct ctx *c, struct probe_op list[MIXED])
{
	list[0] = OP(BARRIER, .value = 1);
	/* Each changes what is there: some hypervisors tell of nothing else. */
	list[1] = OP(CR3, .value = c->probe.cr3[1], .toggle = c->probe.cr3[0] ^ c->probe.cr3[1]);
	list[2] = OP(CPUID, .arg = 1);
	list[3] = OP(WRMSR, .arg = 0xc0000082, .value = 0x1000, .step = 8);
	list[4] = OP(INT3);
	list[5] = OP(CHECKSUM, .value = 50, .flags = PROBE_CHECK, .expect = probe_checksum(50));
	list[6] = OP(CR4, .value = c->probe.cr4 ^ 4, .toggle = 4);
	list[7] = OP(RDMSR, .arg = 0xc0000082);
	list[8] = OP(INT3, .flags = PROBE_USER);
	list[9] = OP(CPUID, .arg = 7, .flags = PROBE_USER);
}

/* Every vCPU does everything at the same time; the counts must be exact. */
static int mixed(struct ctx *c)
{
	struct probe_op list[MIXED];
	struct pump p = { .c = c };
	struct probe_vcpu block;
	uint64_t expect = 0;

	mixed_list(c, list);
	DO(subscribe_all(c));
	DO(guest_start_all(c, list, MIXED, N));
	for (unsigned i = 0; i < c->vcpus; i++)
		DO(guest_wait_waits(c, i));
	DO(guest_go(c, 1));
	DO(pump_run(&p, ALL_VCPUS));
	for (unsigned i = 0; i < c->vcpus; i++) {
		for (unsigned kind = 0; kind < SCRY_EVENT_COUNT; kind++) {
			uint64_t n = mixed_counts[kind] * N;

			if (kind == SCRY_EVENT_MSR_READ &&
			    !scry_cap(c->vm, SCRY_CAP_EVENT_MSR_READ, NULL))
				n = 0;
			CHECK(c, p.count[kind][i] == n, "vCPU %u: %llu %s events, not %llu", i,
			      (ull)p.count[kind][i], scry_event_name(kind), (ull)n);
			expect += n;
		}
		DO(guest_block(c, i, &block));
		for (unsigned j = 0; j < MIXED; j++)
			CHECK(c, block.op[j].count == N && block.op[j].faults == 0,
			      "vCPU %u: operation %u done %llu times, %llu faults", i, j,
			      (ull)block.op[j].count, (ull)block.op[j].faults);
		CHECK(c, block.op[5].mismatches == 0, "vCPU %u: %llu wrong sums", i,
		      (ull)block.op[5].mismatches);
		CHECK(c, block.op[7].out[0] == 0x1000 + 8 * (N - 1), "vCPU %u: LSTAR ends as %#llx", i,
		      (ull)block.op[7].out[0]);
		CHECK(c, block.exceptions[3] == 2 * N, "vCPU %u: %llu #BP, not %u", i,
		      (ull)block.exceptions[3], 2 * N);
	}
	CHECK(c, p.total == expect, "%llu events, not %llu", (ull)p.total, (ull)expect);
	return 0;
}

/* Several subscriptions that match are one event. */
static int overlapping(struct ctx *c)
{
	struct probe_op op = OP(CPUID, .arg = 1);
	struct pump p = { .c = c };
	int wide, narrow;

	wide = subscribe(c, SUB(CPUID));
	DO(wide);
	narrow = subscribe(c, SUB(CPUID, .cpuid = { .use_leaf = 1, .leaf = 1 }));
	DO(narrow);
	CHECK(c, wide != narrow, "two subscriptions have the number %d", wide);
	for (unsigned expect = 100, i = 0; i < 3; i++) {
		p.total = 0;
		DO(guest_start(c, 0, &op, 1, 100));
		DO(pump_run(&p, 1));
		CHECK(c, p.total == expect, "step %u: %llu events, not %u", i, (ull)p.total, expect);
		OK(c, i == 0 ? scry_unsubscribe(c->vm, wide) : 0);
		OK(c, i == 1 ? scry_unsubscribe(c->vm, narrow) : 0);
		expect = i == 1 ? 0 : 100;
	}
	return 0;
}

/* Subscribing and unsubscribing while the guest works at full speed. */
static int unsubscribe_live(struct ctx *c)
{
	const struct probe_op list[] = {
		OP(CPUID),
		OP(CR3, .value = c->probe.cr3[1], .toggle = c->probe.cr3[0] ^ c->probe.cr3[1]),
		OP(CHECKSUM, .value = 20, .flags = PROBE_CHECK, .expect = probe_checksum(20)),
	};
	struct scry_event events[PROBE_VCPUS];
	struct probe_vcpu block;
	int number, n;

	DO(guest_start_all(c, list, 3, FOREVER));
	for (int i = 0; i < 30; i++) {
		number = subscribe(c, i & 1 ? SUB(CPUID) : SUB(CR_WRITE, .cr = { .cr = 3 }));
		DO(number);
		for (int got = 0; got < 20; got += n) {
			n = pump_wait(c, events, PROBE_VCPUS, WAIT_MS);
			DO(n);
			CHECK(c, n, "no event after subscribing, round %d", i);
			for (int j = 0; j < n; j++)
				OK(c, scry_reply_action(c->vm, &events[j], SCRY_CONTINUE));
		}
		OK(c, scry_unsubscribe(c->vm, number));
		while ((n = pump_wait(c, events, PROBE_VCPUS, 0)) > 0)
			for (int j = 0; j < n; j++)
				OK(c, scry_reply_action(c->vm, &events[j], SCRY_CONTINUE));
		DO(n);
	}
	for (unsigned i = 0; i < c->vcpus; i++) {
		DO(guest_moves(c, i));
		DO(guest_stop(c, i));
		DO(guest_block(c, i, &block));
		CHECK(c, block.op[2].mismatches == 0, "vCPU %u: wrong sums", i);
		CHECK(c, block.op[0].faults == 0 && block.op[1].faults == 0, "vCPU %u: faults", i);
	}
	CHECK(c, scry_event_wait(c->vm, events, PROBE_VCPUS, 50) == 0, "an event after the last");
	return 0;
}

/* More subscriptions than fit are refused; removing makes room again. */
static int many_subscriptions(struct ctx *c)
{
	int numbers[1024], n;

	for (n = 0; n < 1024; n++) {
		struct scry_subscription sub = SUB(CPUID, .cpuid = { .use_leaf = 1, .leaf = 1000 });

		numbers[n] = scry_subscribe(c->vm, &sub);
		if (numbers[n] < 0)
			break;
	}
	CHECK(c, n >= 16, "only %d subscriptions: %s", n, scry_errmsg());
	for (int i = 0; i < n; i++)
		OK(c, scry_unsubscribe(c->vm, numbers[i]));
	REFUSED(c, scry_unsubscribe(c->vm, numbers[0]), SCRY_E_NOTFOUND);
	OK(c, subscribe(c, SUB(CPUID)));
	return 0;
}

/* The descriptor is readable when there is an event, and only then. */
static int event_fd(struct ctx *c)
{
	struct probe_op op = OP(CPUID);
	struct pollfd fd = { .fd = scry_event_fd(c->vm), .events = POLLIN };
	struct scry_event events[PROBE_VCPUS];
	unsigned total = 0;
	int n;

	OK(c, fd.fd);
	OK(c, subscribe(c, SUB(CPUID)));
	while ((n = pump_wait(c, events, PROBE_VCPUS, 0)) > 0)
		;
	DO(n);
	CHECK(c, poll(&fd, 1, 20) == 0, "the descriptor is readable with no event there");
	DO(guest_start_all(c, &op, 1, 200));
	while (total < 200 * c->vcpus) {
		CHECK(c, poll(&fd, 1, WAIT_MS) == 1 && fd.revents & POLLIN,
		      "the descriptor is not readable after %u events", total);
		while ((n = pump_wait(c, events, PROBE_VCPUS, 0)) > 0) {
			for (int i = 0; i < n; i++)
				OK(c, scry_reply_action(c->vm, &events[i], SCRY_CONTINUE));
			total += (unsigned)n;
		}
		DO(n);
	}
	for (unsigned i = 0; i < c->vcpus; i++)
		DO(guest_wait(c, i));
	while ((n = pump_wait(c, events, PROBE_VCPUS, 0)) > 0)
		return fail(c, "an event too many");
	CHECK(c, poll(&fd, 1, 20) == 0, "the descriptor stays readable");
	return 0;
}

static int wait_times_out(struct ctx *c)
{
	struct scry_event e;
	uint64_t start = now_ms(), took;

	OK(c, subscribe(c, SUB(CPUID)));
	CHECK(c, scry_event_wait(c->vm, &e, 1, 100) == 0, "an event that nobody caused");
	took = now_ms() - start;
	CHECK(c, took >= 95 && took < (uint64_t)WAIT_MS, "a wait of 100 ms took %llu ms", (ull)took);
	REFUSED(c, scry_event_wait(c->vm, &e, 0, 0), SCRY_E_INVAL);
	REFUSED(c, scry_event_wait(c->vm, NULL, 1, 0), SCRY_E_INVAL);
	return 0;
}

struct looper {
	unsigned left;
};

static int count_down(struct scry_vm *vm, const struct scry_event *e, struct scry_reply *reply,
		      void *opaque)
{
	struct looper *l = opaque;

	(void)vm;
	if (e->kind != SCRY_EVENT_CPUID || reply->sz != sizeof(*reply) || reply->action || reply->set)
		return -100;
	return --l->left ? 0 : 77;
}

static int event_loop(struct ctx *c)
{
	struct probe_op op = OP(CPUID);
	struct looper l = { 500 };
	int got;

	OK(c, subscribe(c, SUB(CPUID)));
	DO(guest_start(c, 0, &op, 1, 500));
	got = scry_event_loop(c->vm, count_down, &l);
	CHECK(c, got == 77 && l.left == 0, "the loop gave %d with %u events to come", got, l.left);
	return guest_wait(c, 0);	/* the last reply was sent too */
}

/* One thread waits, another replies. */
struct relay {
	struct scry_vm *vm;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct scry_event queue[PROBE_VCPUS];
	unsigned queued;
	bool over;
	int failed;
};

static void *replier(void *opaque)
{
	struct relay *r = opaque;

	pthread_mutex_lock(&r->lock);
	for (;;) {
		while (!r->queued && !r->over)
			pthread_cond_wait(&r->changed, &r->lock);
		if (!r->queued)
			break;
		struct scry_event e = r->queue[--r->queued];

		pthread_mutex_unlock(&r->lock);
		int err = scry_reply_action(r->vm, &e, SCRY_CONTINUE);

		pthread_mutex_lock(&r->lock);
		if (err)
			r->failed = err;
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

/* Until `expect` events were received and handed on. */
static int relay_events(struct ctx *c, struct relay *r, unsigned expect)
{
	struct scry_event events[PROBE_VCPUS];
	int n;

	for (unsigned got = 0; got < expect; got += (unsigned)n) {
		n = pump_wait(c, events, PROBE_VCPUS, WAIT_MS);
		DO(n);
		CHECK(c, n, "no event after %u", got);
		pthread_mutex_lock(&r->lock);
		for (int i = 0; i < n && r->queued < PROBE_VCPUS; i++)
			r->queue[r->queued++] = events[i];
		pthread_cond_signal(&r->changed);
		pthread_mutex_unlock(&r->lock);
	}
	return 0;
}

static int other_thread(struct ctx *c)
{
	struct relay r = { .vm = c->vm, .lock = PTHREAD_MUTEX_INITIALIZER,
			   .changed = PTHREAD_COND_INITIALIZER };
	struct probe_op op = OP(CPUID);
	pthread_t thread;
	int result;

	OK(c, subscribe(c, SUB(CPUID)));
	if (pthread_create(&thread, NULL, replier, &r))
		return fail(c, "no thread to be had");
	result = guest_start_all(c, &op, 1, 1000);
	if (!result)
		result = relay_events(c, &r, 1000 * c->vcpus);
	pthread_mutex_lock(&r.lock);
	r.over = true;
	pthread_cond_signal(&r.changed);
	pthread_mutex_unlock(&r.lock);
	pthread_join(thread, NULL);
	DO(result);
	CHECK(c, r.failed == 0, "a reply from another thread: %s", scry_strerror(r.failed));
	for (unsigned i = 0; i < c->vcpus; i++)
		DO(guest_wait(c, i));
	return 0;
}

const struct test tests_flow[] = {
	{ "events-mixed", mixed, ALL_EVENTS },
	{ "events-overlapping", overlapping, { SCRY_CAP_EVENT_CPUID } },
	{ "events-unsubscribe", unsubscribe_live, { SCRY_CAP_EVENT_CPUID, SCRY_CAP_EVENT_CR_WRITE } },
	{ "events-many", many_subscriptions, { SCRY_CAP_EVENT_CPUID } },
	{ "events-fd", event_fd, { SCRY_CAP_EVENT_CPUID } },
	{ "events-timeout", wait_times_out, { SCRY_CAP_EVENT_CPUID } },
	{ "events-loop", event_loop, { SCRY_CAP_EVENT_CPUID } },
	{ "events-other-thread", other_thread, { SCRY_CAP_EVENT_CPUID } },
	{ 0 }
};
