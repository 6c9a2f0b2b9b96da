/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events: exceptions and interrupts on their way to the IDT; and exceptions injected. */
#include "conformance.h"

typedef unsigned long long ull;

#define N      many(500)
#define INTN   0x42			/* of the probe's INTN */
#define ABSENT 0x6000000000		/* an address that the probe does not map */
#define NMI    0x400			/* low word of an interrupt command */

/* What comes once a round on every vCPU. */
struct expectation {
	struct probe_op op;
	enum scry_interrupt_type type;
	uint8_t vector;		/* 0 = not looked at */
	uint8_t has_error, insn_len;
	uint32_t error_code;
	uint64_t cr2;
	struct scry_reply reply;
	uint64_t seen[PROBE_VCPUS];
};

static int check_delivery(struct pump *p, const struct scry_event *e, struct scry_reply *reply)
{
	struct expectation *x = p->opaque;
	struct ctx *c = p->c;

	CHECK(c, e->kind == SCRY_EVENT_INTERRUPT && e->interrupt.type == x->type, "kind %u, type %u",
	      e->kind, e->interrupt.type);
	CHECK(c, !x->vector || e->interrupt.vector == x->vector, "vector %u", e->interrupt.vector);
	CHECK(c, e->interrupt.has_error == x->has_error && e->interrupt.error_code == x->error_code,
	      "error code %u, %#x", e->interrupt.has_error, e->interrupt.error_code);
	CHECK(c, e->interrupt.cr2 == x->cr2, "cr2 %#llx", (ull)e->interrupt.cr2);
	CHECK(c, e->insn_len == x->insn_len, "an instruction of %u bytes", e->insn_len);
	CHECK(c, e->rip - c->probe.text < c->probe.text_size, "rip %#llx", (ull)e->rip);
	reply->action = x->reply.action;
	reply->exception = x->reply.exception;
	x->seen[e->vcpu]++;
	return 0;
}

static int run(struct ctx *c, struct expectation *x, struct probe_vcpu *blocks)
{
	struct pump p = { .c = c, .answer = check_delivery, .opaque = x };

	for (unsigned i = 0; i < PROBE_VCPUS; i++)
		x->seen[i] = 0;
	DO(pump_all(&p, SUB(INTERRUPT, .interrupt = { .types = 1u << x->type }), &x->op, 1, N));
	for (unsigned i = 0; i < c->vcpus; i++) {
		CHECK(c, x->seen[i] == N, "vCPU %u: %llu events of %d", i, (ull)x->seen[i], N);
		DO(guest_block(c, i, &blocks[i]));
	}
	return 0;
}

/* Every vCPU got this exception N times more, and last. */
static int got(struct ctx *c, const struct probe_vcpu *blocks, unsigned vector, uint64_t error)
{
	for (unsigned i = 0; i < c->vcpus; i++)
		CHECK(c, blocks[i].exceptions[vector] == N && blocks[i].last_vector == vector &&
		      blocks[i].last_error == error, "vCPU %u got %llu exceptions %u, last %llu, %#llx",
		      i, (ull)blocks[i].exceptions[vector], vector, (ull)blocks[i].last_vector,
		      (ull)blocks[i].last_error);
	return 0;
}

static int exceptions(struct ctx *c)
{
	struct expectation ud = { .op = OP(UD2), .type = SCRY_INTERRUPT_EXCEPTION, .vector = 6 };
	struct expectation pf = { .op = OP(READ, .arg = ABSENT, .size = 8), .vector = 14,
				  .type = SCRY_INTERRUPT_EXCEPTION, .has_error = 1, .cr2 = ABSENT };
	struct probe_vcpu blocks[PROBE_VCPUS];

	DO(run(c, &ud, blocks));
	DO(got(c, blocks, 6, 0));
	DO(run(c, &pf, blocks));
	return got(c, blocks, 14, 0);
}

/* Another exception in the place of one. */
static int exceptions_changed(struct ctx *c)
{
	struct expectation x = { .op = OP(UD2), .type = SCRY_INTERRUPT_EXCEPTION, .vector = 6,
				 .reply = { .action = SCRY_DENY } };
	struct probe_vcpu blocks[PROBE_VCPUS];

	DO(run(c, &x, blocks));
	DO(got(c, blocks, 13, 0));
	x.reply.action = SCRY_INJECT;
	x.reply.exception = (struct scry_exception){ 14, 2, 0x123456 };
	DO(run(c, &x, blocks));
	DO(got(c, blocks, 14, 2));
	for (unsigned i = 0; i < c->vcpus; i++)
		CHECK(c, blocks[i].last_cr2 == 0x123456 && blocks[i].exceptions[6] == 0, "cr2 %#llx",
		      (ull)blocks[i].last_cr2);
	return 0;
}

/* Dropped: the guest sees no more of them than before, and goes on. */
static int run_dropped(struct ctx *c, struct expectation *x, struct probe_vcpu *blocks,
		       const uint64_t *before)
{
	x->reply.action = SCRY_SKIP;
	DO(run(c, x, blocks));
	for (unsigned i = 0; i < c->vcpus; i++)
		CHECK(c, blocks[i].interrupts == before[i] && blocks[i].op[0].count == N,
		      "%llu interrupts though all were dropped", (ull)(blocks[i].interrupts - before[i]));
	return 0;
}

/* INT n: done, not done, and refused. */
static int software(struct ctx *c)
{
	struct expectation x = { .op = OP(INTN), .type = SCRY_INTERRUPT_SOFTWARE, .vector = INTN,
				 .insn_len = 2 };
	struct probe_vcpu blocks[PROBE_VCPUS];
	uint64_t before[PROBE_VCPUS];

	DO(run(c, &x, blocks));
	for (unsigned i = 0; i < c->vcpus; i++) {
		before[i] = blocks[i].interrupts;
		CHECK(c, before[i] >= N, "%llu interrupts", (ull)before[i]);
	}
	DO(run_dropped(c, &x, blocks, before));
	x.reply.action = SCRY_DENY;
	DO(run(c, &x, blocks));
	return got(c, blocks, 13, 0);
}

/* INT3 is both an instruction and a software interrupt. */
static int int3_twice(struct ctx *c)
{
	struct probe_op op = OP(INT3);
	struct pump p = { .c = c };

	OK(c, subscribe(c, SUB(INT3)));
	OK(c, subscribe(c, SUB(INTERRUPT, .interrupt = { .vectors = { 1u << 3 } })));
	DO(guest_start_all(c, &op, 1, N));
	DO(pump_run(&p, ALL_VCPUS));
	for (unsigned i = 0; i < c->vcpus; i++)
		CHECK(c, p.count[SCRY_EVENT_INT3][i] == N && p.count[SCRY_EVENT_INTERRUPT][i] == N,
		      "%llu and %llu events", (ull)p.count[SCRY_EVENT_INT3][i],
		      (ull)p.count[SCRY_EVENT_INTERRUPT][i]);
	return 0;
}

/* From the local APIC: taken; then dropped, after which the next ones still come. */
static int hardware(struct ctx *c)
{
	struct expectation x = { .op = OP(HLT), .type = SCRY_INTERRUPT_HARDWARE };
	struct probe_vcpu blocks[PROBE_VCPUS];
	uint64_t before[PROBE_VCPUS];

	DO(run(c, &x, blocks));
	for (unsigned i = 0; i < c->vcpus; i++)
		before[i] = blocks[i].interrupts;
	DO(run_dropped(c, &x, blocks, before));
	x.reply.action = SCRY_CONTINUE;
	DO(run(c, &x, blocks));
	for (unsigned i = 0; i < c->vcpus; i++)
		CHECK(c, blocks[i].interrupts == before[i] + N, "%llu interrupts after dropped ones",
		      (ull)(blocks[i].interrupts - before[i]));
	return 0;
}

static int nmi(struct ctx *c)
{
	struct expectation x = { .type = SCRY_INTERRUPT_NMI, .vector = 2 };
	struct probe_vcpu block;
	struct pump p = { .c = c, .answer = check_delivery, .opaque = &x };

	DO(guest_block(c, 0, &block));
	x.op = OP(IPI, .arg = block.apic_id, .value = NMI);
	OK(c, subscribe(c, SUB(INTERRUPT, .interrupt = { .types = 1u << SCRY_INTERRUPT_NMI })));
	DO(guest_start(c, 0, &x.op, 1, 20));
	DO(pump_run(&p, 1));
	DO(guest_block(c, 0, &block));
	CHECK(c, p.total && block.exceptions[2] == p.total, "%llu events, %llu NMIs", (ull)p.total,
	      (ull)block.exceptions[2]);
	return 0;
}

static int filters(struct ctx *c)
{
	const struct probe_op list[] = { OP(UD2), OP(INTN), OP(READ, .arg = ABSENT, .size = 8) };
	const struct {
		struct scry_subscription sub;
		unsigned events;
	} cases[] = {
		{ SUB(INTERRUPT), 3 },
		{ SUB(INTERRUPT, .interrupt = { .vectors = { 1u << 14 } }), 1 },
		{ SUB(INTERRUPT, .interrupt = { .vectors = { 1u << 6, 1u << (INTN - 64) } }), 2 },
		{ SUB(INTERRUPT, .interrupt = { .types = 1u << SCRY_INTERRUPT_SOFTWARE }), 1 },
		{ SUB(INTERRUPT, .interrupt = { .vectors = { 1u << 13 } }), 0 },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pump p = { .c = c };

		DO(pump_all(&p, cases[i].sub, list, 3, 100));
		CHECK(c, p.total == 100 * cases[i].events * c->vcpus, "filter %u: %llu events", i,
		      (ull)p.total);
	}
	return 0;
}

static int inject(struct pump *p, const struct scry_event *e, struct scry_reply *reply)
{
	(void)e;
	reply->action = SCRY_INJECT;
	reply->exception = *(const struct scry_exception *)p->opaque;
	return 0;
}

/* An exception in the place of an instruction, and none of it comes back as an event. */
static int injected(struct ctx *c)
{
	struct scry_exception exception[] = { { 6, 0, 0 }, { 14, 6, ABSENT + 8 }, { 13, 0x18, 0 } };
	struct probe_op op = OP(CPUID);
	struct probe_vcpu blocks[PROBE_VCPUS];

	OK(c, subscribe(c, SUB(CPUID)));
	OK(c, subscribe(c, SUB(INTERRUPT)));
	for (unsigned i = 0; i < 3; i++) {
		struct pump p = { .c = c, .answer = inject, .opaque = &exception[i] };

		DO(guest_start_all(c, &op, 1, N));
		DO(pump_run(&p, ALL_VCPUS));
		CHECK(c, p.total == N * c->vcpus, "%llu events", (ull)p.total);
		for (unsigned j = 0; j < c->vcpus; j++) {
			DO(guest_block(c, j, &blocks[j]));
			CHECK(c, exception[i].vector != 14 || blocks[j].last_cr2 == exception[i].cr2,
			      "cr2 %#llx", (ull)blocks[j].last_cr2);
		}
		DO(got(c, blocks, exception[i].vector, exception[i].error_code));
	}
	return 0;
}

static int bad_injection(struct ctx *c)
{
	struct scry_reply reply = { .sz = sizeof(reply), .action = SCRY_INJECT, .exception = { 2, 0, 0 } };
	struct probe_op op = OP(CPUID);
	struct scry_event e;

	OK(c, subscribe(c, SUB(CPUID)));
	DO(guest_start(c, 0, &op, 1, 1));
	DO(pump_one(c, &e));
	REFUSED(c, scry_reply(c->vm, &e, &reply), SCRY_E_INVAL);
	reply.exception.vector = 32;
	REFUSED(c, scry_reply(c->vm, &e, &reply), SCRY_E_INVAL);
	OK(c, scry_reply_action(c->vm, &e, SCRY_CONTINUE));
	return guest_wait(c, 0);
}

/* Held for long, with its registers asked for, and delivered all the same. */
static int held(struct ctx *c)
{
	const struct probe_op list[] = { OP(UD2), OP(INTN), OP(HLT) };
	struct probe_vcpu block;

	OK(c, subscribe(c, SUB(INTERRUPT)));
	DO(pump_held(c, list, 3, 20, &block));
	CHECK(c, block.exceptions[6] == 20 && block.op[1].count == 20 && block.op[2].count == 20,
	      "%llu #UD", (ull)block.exceptions[6]);
	return 0;
}

/* By its vector alone: delivered, then dropped. */
static int by_vector(struct ctx *c)
{
	struct scry_subscription sub = SUB(INTERRUPT, .interrupt = { .vectors = { 1u << 3 } });
	struct expectation x = { .op = OP(INT3), .type = SCRY_INTERRUPT_SOFTWARE, .vector = 3,
				 .insn_len = 1 };
	struct probe_vcpu block;

	for (unsigned i = 0; i < 2; i++) {
		struct pump p = { .c = c, .answer = check_delivery, .opaque = &x };

		DO(world_reset(c));
		DO(pump_all(&p, sub, &x.op, 1, N));
		CHECK(c, p.total == (uint64_t)N * c->vcpus, "%llu events of %u int3", (ull)p.total,
		      N * c->vcpus);
		for (unsigned n = 0; n < c->vcpus; n++) {
			DO(guest_block(c, n, &block));
			CHECK(c, block.exceptions[3] == (i ? 0 : N) && block.op[0].count == N,
			      "vCPU %u got %llu #BP", n, (ull)block.exceptions[3]);
		}
		x.reply.action = SCRY_SKIP;
	}
	return 0;
}

#define INT { WHOLE(EVENT_INTERRUPT) }

const struct test tests_int[] = {
	{ "event-int-exceptions", exceptions, INT },
	{ "event-int-changed", exceptions_changed, INT },
	{ "event-int-software", software, INT },
	{ "event-int-int3", int3_twice, { SCRY_CAP_EVENT_INTERRUPT, SCRY_CAP_EVENT_INT3 } },
	{ "event-int-vector", by_vector, { SCRY_CAP_EVENT_INTERRUPT, SCRY_CAP_EVENT_INT3 } },
	{ "event-int-hardware", hardware, INT },
	{ "event-int-nmi", nmi, INT },
	{ "event-int-filter", filters, INT },
	{ "event-int-held", held, INT },
	{ "reply-inject", injected, { SCRY_CAP_EVENT_CPUID, WHOLE(EVENT_INTERRUPT) } },
	{ "reply-inject-bad", bad_injection, { SCRY_CAP_EVENT_CPUID } },
	{ 0 }
};
