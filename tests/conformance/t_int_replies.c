/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Interrupts that are dropped or get another vector, and how the processor is left then. */
#include "conformance.h"

typedef unsigned long long ull;

#define N    20
#define NONE 0x50	/* it has no handler for this one */
#define NMI  0x400	/* low word of an interrupt command */

struct answers {
	struct scry_reply reply;
	uint8_t vector;		/* to whom this reply goes; 0 = all */
	uint64_t seen;
};

static int answer_with(struct pump *p, const struct scry_event *e, struct scry_reply *reply)
{
	struct answers *a = p->opaque;

	if (a->vector && e->interrupt.vector != a->vector)
		return 0;
	*reply = a->reply;
	a->seen++;
	return 0;
}

/* The list N times on vCPU 0, with this answer to interrupts of this type. */
static int run(struct ctx *c, const struct probe_op *list, unsigned count,
	       enum scry_interrupt_type type, struct answers *a, struct probe_vcpu *block)
{
	struct pump p = { .c = c, .answer = answer_with, .opaque = a };
	int number = subscribe(c, SUB(INTERRUPT, .vcpus = 1, .interrupt = { .types = 1u << type }));

	DO(number);
	a->seen = 0;
	a->reply.sz = sizeof(a->reply);
	DO(guest_start(c, 0, list, count, N));
	DO(pump_run(&p, 1));
	OK(c, scry_unsubscribe(c->vm, number));
	return guest_block(c, 0, block);
}

/* A dropped NMI does not block the next. */
static int nmi_dropped(struct ctx *c)
{
	struct answers a = { .reply = { .action = SCRY_SKIP } };
	struct probe_vcpu block;
	struct probe_op op;

	DO(guest_block(c, 0, &block));
	op = OP(IPI, .arg = block.apic_id, .value = NMI);
	for (int i = 0; i < 2; i++) {
		DO(run(c, &op, 1, SCRY_INTERRUPT_NMI, &a, &block));
		CHECK(c, a.seen == N && block.exceptions[2] == (i ? N : 0), "%llu events, %llu NMIs",
		      (ull)a.seen, (ull)block.exceptions[2]);
		a.reply.action = SCRY_CONTINUE;
	}
	return 0;
}

/* INT n with another vector. */
static int software_vector(struct ctx *c)
{
	struct answers a = { .reply = { .action = SCRY_INJECT, .exception = { .vector = WAKE } } };
	const struct probe_op op = OP(INTN);
	struct probe_vcpu before, block;

	DO(guest_block(c, 0, &before));
	DO(run(c, &op, 1, SCRY_INTERRUPT_SOFTWARE, &a, &block));
	CHECK(c, a.seen == N && block.interrupts == before.interrupts + N &&
	      block.op[0].count == N && block.op[0].faults == 0, "%llu events, %llu interrupts", (ull)a.seen,
	      (ull)(block.interrupts - before.interrupts));
	return 0;
}

/* One that the guest has no handler for comes as another, which its handler ends. */
static int hardware_vector(struct ctx *c)
{
	struct answers a = { .reply = { .action = SCRY_INJECT, .exception = { .vector = WAKE } },
			     .vector = NONE };
	struct probe_vcpu before, block;
	struct probe_op list[2] = { OP(IPI, .value = NONE), OP(HLT) };

	DO(guest_block(c, 0, &before));
	list[0].arg = before.apic_id;
	DO(run(c, list, 2, SCRY_INTERRUPT_HARDWARE, &a, &block));
	CHECK(c, a.seen == N && block.interrupts == before.interrupts + 2 * N,
	      "%llu events, %llu interrupts", (ull)a.seen,
	      (ull)(block.interrupts - before.interrupts));
	return 0;
}

/* An exception has no other vector than an exception's. */
static int refused(struct ctx *c)
{
	struct scry_reply reply = { .sz = sizeof(reply), .action = SCRY_INJECT,
				    .exception = { .vector = WAKE } };
	const struct probe_op op = OP(UD2);
	struct scry_event e;

	OK(c, subscribe(c, SUB(INTERRUPT)));
	DO(guest_start(c, 0, &op, 1, 1));
	DO(pump_one(c, &e));
	REFUSED(c, scry_reply(c->vm, &e, &reply), SCRY_E_INVAL);
	OK(c, scry_reply_action(c->vm, &e, SCRY_CONTINUE));
	return guest_wait(c, 0);
}

/* INT n that is skipped in single-step by the guest itself (TF): its #DB comes all the same. */
static int skipped_with_trap(struct ctx *c)
{
	const struct probe_op op = OP(INTN);
	struct scry_regs regs;
	struct scry_reply skip = { .sz = sizeof(skip), .action = SCRY_SKIP, .regs = &regs,
				   .set = SCRY_REG_BIT(SCRY_REG_RFLAGS) };
	struct scry_event e, trap;

	OK(c, subscribe(c, SUB(INTERRUPT, .vcpus = 1)));
	DO(guest_start(c, 0, &op, 1, 1));
	DO(pump_one(c, &e));
	CHECK(c, e.interrupt.type == SCRY_INTERRUPT_SOFTWARE, "type %u", e.interrupt.type);
	OK(c, scry_regs_get(c->vm, 0, &regs));
	regs.rflags |= 0x100;
	OK(c, scry_reply(c->vm, &e, &skip));
	DO(pump_one(c, &trap));
	CHECK(c, trap.interrupt.vector == 1 && trap.rip == e.rip + e.insn_len, "vector %u at %#llx",
	      trap.interrupt.vector, (ull)trap.rip);
	regs.rflags = trap.rflags & ~0x100ull;
	OK(c, scry_reply(c->vm, &trap, &skip));
	return guest_wait(c, 0);
}

/* What a paused vCPU was to take ends with the client. */
static int inject_ends(struct ctx *c)
{
	const struct scry_injection bp = { .sz = sizeof(bp), .exception = { .vector = 3 } };
	struct probe_vcpu block;

	for (unsigned i = 0; i < c->vcpus; i++) {
		DO(guest_halt(c, i));
		OK(c, scry_inject(c->vm, i, &bp));
		world_close(c);
		DO(world_open(c));
		DO(guest_moves(c, i));
		DO(guest_block(c, i, &block));
		CHECK(c, block.exceptions[3] == 0, "the next client sees %llu #BP",
		      (ull)block.exceptions[3]);
	}
	return 0;
}

#define INT { WHOLE(EVENT_INTERRUPT) }

const struct test tests_int_replies[] = {
	{ "event-int-nmi-dropped", nmi_dropped, INT },
	{ "event-int-software-vector", software_vector, INT },
	{ "event-int-hardware-vector", hardware_vector, INT },
	{ "event-int-vector-refused", refused, INT },
	{ "event-int-skip-trap", skipped_with_trap,
	  { WHOLE(EVENT_INTERRUPT), SCRY_CAP_REGS_WRITE } },
	{ "inject-ends", inject_ends, { SCRY_CAP_INJECT, SCRY_CAP_PAUSE } },
	{ 0 }
};
