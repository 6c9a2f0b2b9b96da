/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events: single-step. */
#include "conformance.h"

typedef unsigned long long ull;

#define N 50

/* Where each vCPU has been seen, of the function in the probe's page `patch`. */
struct places {
	uint64_t entry, middle;		/* at it; behind its first instruction */
	uint64_t inside, outside;	/* that page */
};

static int see_place(struct pump *p, const struct scry_event *e, struct scry_reply *reply)
{
	struct places *at = (struct places *)p->opaque + e->vcpu;
	uint64_t offset = e->rip - p->c->probe.patch;

	(void)reply;
	CHECK(p->c, e->kind == SCRY_EVENT_STEP && e->insn_len == 0, "an event of kind %u", e->kind);
	at->entry += offset == 0;
	at->middle += offset == 5;	/* mov $1,%eax */
	at->inside += offset < 4096;
	at->outside += offset >= 4096;
	return 0;
}

/* The function N times on every vCPU, under a subscription; then none. */
static int step_through(struct ctx *c, struct scry_subscription sub, struct places *places)
{
	const struct probe_op op = OP(EXEC, .arg = c->probe.patch, .flags = PROBE_CHECK, .expect = 1);
	struct pump p = { .c = c, .answer = see_place, .opaque = places };
	struct probe_vcpu block;
	int number = subscribe(c, sub);

	DO(number);
	DO(guest_start_all(c, &op, 1, N));
	DO(pump_done(&p, ALL_VCPUS));
	OK(c, scry_unsubscribe(c->vm, number));
	DO(pump_drain(c));
	for (unsigned i = 0; i < c->vcpus; i++) {
		DO(guest_block(c, i, &block));
		CHECK(c, block.op[0].count == N && !block.op[0].mismatches, "the guest did %llu",
		      (ull)block.op[0].count);
	}
	return 0;
}

static int every_instruction(struct ctx *c)
{
	struct places places[PROBE_VCPUS] = { 0 };

	DO(step_through(c, SUB(STEP), places));
	for (unsigned i = 0; i < c->vcpus; i++)
		CHECK(c, places[i].entry == N && places[i].middle == N && places[i].inside == 2 * N,
		      "vCPU %u: %llu at the function, %llu behind its first instruction, of %d", i,
		      (ull)places[i].entry, (ull)places[i].middle, N);
	return 0;
}

static int until_left(struct ctx *c)
{
	struct scry_subscription sub = SUB(STEP, .step = { .use_range = 1, .first = c->probe.patch,
							   .last = c->probe.patch + 4095 });
	struct places places[PROBE_VCPUS] = { 0 };

	DO(step_through(c, sub, places));
	for (unsigned i = 0; i < c->vcpus; i++)
		CHECK(c, places[i].inside == 0 && places[i].outside > 10 * N,
		      "%llu events inside the range, %llu outside", (ull)places[i].inside,
		      (ull)places[i].outside);
	return 0;
}

/*
 * Of the two instructions in that page, one behind the other, it can only tell of one in
 * a call.  How long the guest idles, stepping, before we see that it is done, nobody knows.
 */
static int every_nth(struct ctx *c)
{
	struct places some[PROBE_VCPUS] = { 0 };

	DO(step_through(c, SUB(STEP, .vcpus = 1, .step = { .count = 7 }), some));
	for (unsigned i = 1; i < c->vcpus; i++)
		CHECK(c, !some[i].inside && !some[i].outside, "vCPU %u steps too", i);
	CHECK(c, some[0].inside <= N && some[0].inside + some[0].outside >= 2 * N / 7,
	      "each 7th: %llu events inside, %llu outside", (ull)some[0].inside,
	      (ull)some[0].outside);
	return 0;
}

/* HLT is woken by an interrupt, which is taken when stepping ends, not before. */
static int interrupts_blocked(struct ctx *c)
{
	const struct probe_op op = OP(HLT);
	struct scry_event e;
	int number, seen = 0;

	OK(c, subscribe(c, SUB(INTERRUPT, .vcpus = 1,
			       .interrupt = { .types = 1u << SCRY_INTERRUPT_HARDWARE })));
	number = subscribe(c, SUB(STEP, .vcpus = 1, .step = { .block_interrupts = 1 }));
	DO(number);
	DO(guest_start(c, 0, &op, 1, 1));
	for (int done = 0; !done; done = guest_done(c, 0)) {
		DO(pump_one(c, &e));
		CHECK(c, e.kind == SCRY_EVENT_STEP, "an interrupt while stepping without");
		OK(c, scry_reply_action(c->vm, &e, SCRY_CONTINUE));
	}
	OK(c, scry_unsubscribe(c->vm, number));
	DO(guest_start(c, 0, &op, 1, 1));
	for (int done = 0; !done; done = guest_done(c, 0)) {
		if (pump_wait(c, &e, 1, 5) < 1)
			continue;
		seen += e.kind == SCRY_EVENT_INTERRUPT;
		OK(c, scry_reply_action(c->vm, &e, SCRY_CONTINUE));
	}
	CHECK(c, seen >= 1, "no interrupt came when stepping had ended");
	return 0;
}

/* Step it until it has gone round its loop some times. */
static int step_rounds(struct ctx *c, uint64_t rounds)
{
	uint64_t end = now_ms() + WAIT_MS, before, beats;
	struct scry_event e;
	int n;

	DO(guest_beats(c, 0, &before));
	for (beats = before; beats < before + rounds; ) {
		CHECK(c, now_ms() < end, "it halts for good after %llu rounds", (ull)(beats - before));
		n = pump_wait(c, &e, 1, 5);
		DO(n);
		if (n)
			OK(c, scry_reply_action(c->vm, &e, SCRY_CONTINUE));
		DO(guest_beats(c, 0, &beats));
	}
	return 0;
}

/* HLT, woken by ticks of the timer, in steps: it wakes, and so it does when they end. */
static int halts(struct ctx *c)
{
	const struct probe_op idle = OP(IDLE);

	DO(guest_start(c, 0, &idle, 1, 1));
	DO(guest_wait_waits(c, 0));
	for (int i = 0; i < 3; i++) {
		int number = subscribe(c, SUB(STEP, .vcpus = 1));

		DO(number);
		DO(step_rounds(c, 3));
		OK(c, scry_unsubscribe(c->vm, number));
		DO(pump_drain(c));
		DO(guest_moves(c, 0));
		DO(guest_moves(c, 0));
	}
	DO(guest_release(c, 0));
	return guest_wait(c, 0);
}

/* Set rip and raise an exception from a step; and the guest goes on when all is over. */
static int steered(struct ctx *c)
{
	const struct probe_op op = OP(EXEC, .arg = c->probe.patch);
	struct scry_reply reply = { .sz = sizeof(reply), .action = SCRY_INJECT, .exception = { 6, 0, 0 } };
	struct probe_vcpu block;
	struct scry_event e;
	int number = subscribe(c, SUB(STEP, .vcpus = 1));

	DO(number);
	DO(guest_start(c, 0, &op, 1, 1));
	do {
		DO(pump_one(c, &e));
		if (e.rip != c->probe.patch)
			OK(c, scry_reply_action(c->vm, &e, SCRY_CONTINUE));
	} while (e.rip != c->probe.patch);
	OK(c, scry_unsubscribe(c->vm, number));
	OK(c, scry_reply(c->vm, &e, &reply));
	DO(guest_wait(c, 0));
	DO(guest_block(c, 0, &block));
	CHECK(c, block.op[0].faults == 1 && block.exceptions[6] == 1 &&
	      block.last_rip == c->probe.patch, "%llu faults", (ull)block.op[0].faults);
	return guest_moves(c, 0);
}

#define STEP { SCRY_CAP_EVENT_STEP }

const struct test tests_step[] = {
	{ "event-step", every_instruction, STEP },
	{ "event-step-range", until_left, STEP },
	{ "event-step-count", every_nth, STEP },
	{ "event-step-no-interrupts", interrupts_blocked,
	  { SCRY_CAP_EVENT_STEP, WHOLE(EVENT_INTERRUPT) } },
	{ "event-step-steered", steered, STEP },
	{ "event-step-halts", halts, STEP },
	{ 0 }
};
