/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Exceptions and interrupts from outside. */
#include <string.h>

#include "conformance.h"

typedef unsigned long long ull;

#define INJECT(c, vcpu, ...) \
	OK(c, scry_inject((c)->vm, vcpu, &(struct scry_injection){ \
		.sz = sizeof(struct scry_injection), __VA_ARGS__ }))

/* Until the vCPU's block shows what is wanted. */
static int await_count(struct ctx *c, unsigned vcpu, size_t offset, uint64_t wanted)
{
	uint64_t end = now_ms() + WAIT_MS, seen = 0;
	struct probe_vcpu block;

	do {
		CHECK(c, now_ms() < end, "vCPU %u: the guest counts %llu, not %llu", vcpu, (ull)seen,
		      (ull)wanted);
		DO(guest_block(c, vcpu, &block));
		memcpy(&seen, (const char *)&block + offset, sizeof(seen));
	} while (seen < wanted);
	CHECK(c, seen == wanted, "vCPU %u: the guest counts %llu, not %llu", vcpu, (ull)seen,
	      (ull)wanted);
	return 0;
}

#define COUNT(member) offsetof(struct probe_vcpu, member)

/* #BP into a vCPU that runs, and into one that is paused: taken when it goes on. */
static int exceptions(struct ctx *c)
{
	struct probe_vcpu block;

	for (unsigned i = 0; i < c->vcpus; i++) {
		for (unsigned n = 1; n <= 20; n++) {
			INJECT(c, i, .exception = { .vector = 3 });
			DO(await_count(c, i, COUNT(exceptions[3]), n));
		}
		DO(guest_halt(c, i));
		INJECT(c, i, .exception = { .vector = 3 });
		DO(guest_block(c, i, &block));
		CHECK(c, block.exceptions[3] == 20, "a paused vCPU took an exception");
		DO(guest_unhalt(c, i));
		DO(await_count(c, i, COUNT(exceptions[3]), 21));
		DO(guest_moves(c, i));
	}
	return 0;
}

/* With its error code and address; the probe panics at what it did not expect. */
static int page_fault(struct ctx *c)
{
	const struct probe_op op = OP(SPIN);
	uint64_t end = now_ms() + WAIT_MS;
	struct probe_vcpu block;

	DO(guest_start(c, 0, &op, 1, 1));
	DO(guest_wait_waits(c, 0));
	INJECT(c, 0, .exception = { 14, 7, 0x123456789000 });
	do {
		CHECK(c, now_ms() < end, "no #PF came");
		DO(guest_block(c, 0, &block));
	} while (block.state != PROBE_PANIC);
	CHECK(c, block.last_vector == 14 && block.last_error == 7 &&
	      block.last_cr2 == 0x123456789000, "vector %llu, error %#llx, cr2 %#llx",
	      (ull)block.last_vector, (ull)block.last_error, (ull)block.last_cr2);
	return guest_recover(c, 0);
}

/* A vCPU in HLT with interrupts off takes what is injected. */
static int halted(struct ctx *c)
{
	const struct probe_op op = OP(HALT);
	struct probe_vcpu block;

	DO(guest_start(c, 0, &op, 1, 1));
	DO(guest_wait_waits(c, 0));
	sleep_ms(20);
	INJECT(c, 0, .exception = { .vector = 3 });
	DO(await_count(c, 0, COUNT(exceptions[3]), 1));
	DO(guest_block(c, 0, &block));
	if (block.state == PROBE_WAITS)
		INJECT(c, 0, .type = SCRY_INTERRUPT_NMI);
	return guest_wait(c, 0);
}

static int interrupts(struct ctx *c)
{
	const struct probe_op op = OP(IDLE);
	struct probe_vcpu block;

	for (unsigned i = 0; i < c->vcpus; i++) {
		struct scry_event e;
		int number = subscribe(c, SUB(INTERRUPT, .interrupt = { .vectors = { 0, 1 } }));

		DO(number);
		INJECT(c, i, .type = SCRY_INTERRUPT_HARDWARE, .vector = WAKE);
		CHECK(c, scry_event_wait(c->vm, &e, 1, 20) == 0, "taken with interrupts off");
		DO(guest_start(c, i, &op, 1, 1));
		DO(pump_one(c, &e));
		CHECK(c, e.vcpu == i && e.interrupt.vector == WAKE &&
		      e.interrupt.type == SCRY_INTERRUPT_HARDWARE, "vector %u", e.interrupt.vector);
		OK(c, scry_reply_action(c->vm, &e, SCRY_CONTINUE));
		OK(c, scry_unsubscribe(c->vm, number));
		DO(pump_drain(c));
		DO(guest_stop(c, i));
		INJECT(c, i, .type = SCRY_INTERRUPT_NMI);
		DO(await_count(c, i, COUNT(exceptions[2]), 1));
		DO(guest_block(c, i, &block));
		CHECK(c, block.interrupts >= 1, "the guest saw no interrupt");
	}
	return 0;
}

/* No event of it; in an event before its instruction, which comes again. */
static int in_event(struct ctx *c)
{
	const struct probe_op list[] = { OP(CPUID), OP(UD2) };
	struct scry_event e, again;
	struct probe_vcpu block;

	OK(c, subscribe(c, SUB(CPUID)));
	OK(c, subscribe(c, SUB(INTERRUPT)));
	INJECT(c, 0, .exception = { .vector = 3 });
	DO(await_count(c, 0, COUNT(exceptions[3]), 1));
	DO(guest_start(c, 0, list, 2, 1));
	DO(pump_one(c, &e));
	CHECK(c, e.kind == SCRY_EVENT_CPUID, "what was injected is an event");
	INJECT(c, 0, .exception = { .vector = 3 });
	OK(c, scry_reply_action(c->vm, &e, SCRY_CONTINUE));
	DO(pump_one(c, &again));
	CHECK(c, again.kind == SCRY_EVENT_CPUID && again.rip == e.rip,
	      "the CPUID does not come again");
	DO(await_count(c, 0, COUNT(exceptions[3]), 2));
	OK(c, scry_reply_action(c->vm, &again, SCRY_CONTINUE));
	DO(pump_one(c, &e));
	CHECK(c, e.kind == SCRY_EVENT_INTERRUPT && e.interrupt.vector == 6, "vector %u",
	      e.interrupt.vector);
	INJECT(c, 0, .exception = { .vector = 3 });
	OK(c, scry_reply_action(c->vm, &e, SCRY_CONTINUE));
	DO(guest_wait(c, 0));
	DO(guest_block(c, 0, &block));
	CHECK(c, block.exceptions[3] == 3 && block.exceptions[6] == 1 && block.op[0].count == 1,
	      "%llu #BP, %llu #UD", (ull)block.exceptions[3], (ull)block.exceptions[6]);
	return 0;
}

/* The client goes before it has answered: what the vCPU was to take goes with it. */
static int in_event_closed(struct ctx *c)
{
	const struct probe_op op = OP(CPUID);
	struct probe_vcpu block;
	struct scry_event e;

	for (int i = 0; i < 10; i++) {
		OK(c, subscribe(c, SUB(CPUID)));
		DO(guest_start(c, 0, &op, 1, 1));
		DO(pump_one(c, &e));
		INJECT(c, 0, .exception = { .vector = 3 });
		world_close(c);
		DO(world_open(c));
		DO(guest_wait(c, 0));
		DO(guest_block(c, 0, &block));
		CHECK(c, block.exceptions[3] == 0 && block.op[0].count == 1, "%llu #BP",
		      (ull)block.exceptions[3]);
	}
	return 0;
}

static int refused(struct ctx *c)
{
	struct scry_injection i = { .sz = sizeof(i), .exception = { .vector = 2 } };

	REFUSED(c, scry_inject(c->vm, 0, &i), SCRY_E_INVAL);
	i.exception.vector = 32;
	REFUSED(c, scry_inject(c->vm, 0, &i), SCRY_E_INVAL);
	i.type = SCRY_INTERRUPT_HARDWARE;
	i.vector = 15;
	REFUSED(c, scry_inject(c->vm, 0, &i), SCRY_E_INVAL);
	i.type = SCRY_INTERRUPT_SOFTWARE;
	REFUSED(c, scry_inject(c->vm, 0, &i), SCRY_E_INVAL);
	i.type = SCRY_INTERRUPT_NMI;
	REFUSED(c, scry_inject(c->vm, c->vcpus, &i), SCRY_E_INVAL);
	i.sz = 1;
	REFUSED(c, scry_inject(c->vm, 0, &i), SCRY_E_INVAL);
	return 0;
}

#define I { SCRY_CAP_INJECT }

const struct test tests_inject[] = {
	{ "inject-exception", exceptions, I },
	{ "inject-page-fault", page_fault, I },
	{ "inject-halted", halted, { WHOLE(INJECT) } },
	{ "inject-interrupt", interrupts, { SCRY_CAP_INJECT, WHOLE(EVENT_INTERRUPT) } },
	{ "inject-in-event", in_event, { SCRY_CAP_INJECT, WHOLE(EVENT_INTERRUPT) } },
	{ "inject-in-event-closed", in_event_closed, { SCRY_CAP_INJECT, SCRY_CAP_EVENT_CPUID } },
	{ "inject-refused", refused, I },
	{ 0 }
};
