/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Receives and answers events, and counts them, while the guest works. */
#include "conformance.h"

int subscribe(struct ctx *c, struct scry_subscription sub)
{
	int number = scry_subscribe(c->vm, &sub);

	OK(c, number);
	CHECK(c, number > 0, "scry_subscribe() gave %d, not a positive number", number);
	return number;
}

int pump_wait(struct ctx *c, struct scry_event *events, size_t max, int timeout_ms)
{
	int n = scry_event_wait(c->vm, events, max, timeout_ms);

	OK(c, n);
	for (int i = 0; i < n; i++) {
		const struct scry_event *e = &events[i];

		CHECK(c, e->kind < SCRY_EVENT_COUNT && e->vcpu < c->vcpus,
		      "an event of kind %u, vCPU %u", e->kind, e->vcpu);
		CHECK(c, e->sequence == c->sequence[e->vcpu] + 1,
		      "vCPU %u: event %llu came after event %llu", e->vcpu,
		      (unsigned long long)e->sequence, (unsigned long long)c->sequence[e->vcpu]);
		c->sequence[e->vcpu] = e->sequence;
	}
	return n;
}

static int take(struct pump *p, const struct scry_event *e)
{
	struct ctx *c = p->c;
	struct scry_reply reply = { .sz = sizeof(reply) };

	p->count[e->kind][e->vcpu]++;
	p->total++;
	if (p->answer)
		DO(p->answer(p, e, &reply));
	OK(c, scry_reply(c->vm, e, &reply));
	return 0;
}

/* 1 = all of them have finished. */
static int all_done(struct ctx *c, uint64_t vcpus)
{
	int done;

	for (unsigned i = 0; i < c->vcpus; i++)
		if (vcpus >> i & 1 && (done = guest_done(c, i)) != 1)
			return done;
	return 1;
}

/* What comes within that time; how many. */
static int take_some(struct pump *p, int timeout_ms)
{
	struct scry_event events[PROBE_VCPUS];
	int n = pump_wait(p->c, events, PROBE_VCPUS, timeout_ms);

	for (int i = 0; i < n; i++)
		DO(take(p, &events[i]));
	return n;
}

static int pump(struct pump *p, uint64_t vcpus, bool drain)
{
	uint64_t end = now_ms() + WAIT_MS;
	int done, n;

	for (;;) {
		done = all_done(p->c, vcpus);
		DO(done);
		if (done && !drain)
			return 0;
		n = take_some(p, done ? 0 : 5);
		DO(n);
		if (done && n == 0)
			return 0;
		CHECK(p->c, now_ms() < end, "the guest does not finish; %llu events so far",
		      (unsigned long long)p->total);
	}
}

int pump_run(struct pump *p, uint64_t vcpus)
{
	return pump(p, vcpus, true);
}

int pump_done(struct pump *p, uint64_t vcpus)
{
	return pump(p, vcpus, false);
}

int pump_all(struct pump *p, struct scry_subscription sub, const struct probe_op *list,
	     unsigned count, uint64_t repeat)
{
	struct ctx *c = p->c;
	int number = subscribe(c, sub);

	DO(number);
	DO(guest_start_all(c, list, count, repeat));
	DO(pump_run(p, ALL_VCPUS));
	OK(c, scry_unsubscribe(c->vm, number));
	return 0;
}

int pump_held(struct ctx *c, const struct probe_op *list, unsigned count, unsigned repeat,
	      struct probe_vcpu *block)
{
	struct scry_regs regs;
	struct scry_event e;

	DO(guest_start(c, 0, list, count, repeat));
	for (unsigned i = 0; i < count * repeat; i++) {
		DO(pump_one(c, &e));
		OK(c, scry_regs_get(c->vm, 0, &regs));
		CHECK(c, regs.rip == e.rip, "rip %#llx, the event's %#llx",
		      (unsigned long long)regs.rip, (unsigned long long)e.rip);
		if (i % 7 == 0)
			sleep_ms(1);
		OK(c, scry_reply_action(c->vm, &e, SCRY_CONTINUE));
	}
	DO(guest_wait(c, 0));
	CHECK(c, scry_event_wait(c->vm, &e, 1, 20) == 0, "an event too many");
	return guest_block(c, 0, block);
}

int pump_drain(struct ctx *c)
{
	struct pump p = { .c = c };
	int n;

	while ((n = take_some(&p, 20)) > 0)
		;
	return n;
}

int pump_one(struct ctx *c, struct scry_event *e)
{
	int n = pump_wait(c, e, 1, WAIT_MS);

	DO(n);
	CHECK(c, n == 1, "no event came");
	return 0;
}
