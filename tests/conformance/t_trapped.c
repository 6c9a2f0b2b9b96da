/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Instructions in a page that a view traps, with what else there is about them. */
#include <string.h>

#include "hits.h"

typedef unsigned long long ull;

#define ROUNDS 4u
#define PORT   0x6f0	/* of no device */
#define LSTAR  0xc0000082

static int trap(struct ctx *c, uint64_t at, uint32_t access)
{
	OK(c, scry_view_protect(c->vm, 0, at >> 12, 1, access));
	return 0;
}

/* Fetches of the instruction there; the subscription's number. */
static int watch(struct ctx *c, uint64_t at)
{
	DO(trap(c, at, SCRY_EXEC));
	return subscribe(c, SUB(MEMORY, .memory = { .access = SCRY_EXEC, .use_range = 1, .first = at,
						    .last = at }));
}

/* A client that wants to know more: under some hypervisors the instruction begins anew then. */
static int ask_registers(struct pump *p, const struct scry_event *e, struct scry_reply *reply)
{
	struct ctx *c = p->c;

	(void)reply;
	OK(c, scry_regs_get(c->vm, e->vcpu, &p->regs));
	CHECK(c, p->regs.rip == e->rip, "rip %#llx, the event's %#llx", (ull)p->regs.rip, (ull)e->rip);
	return 0;
}

/* Its fetch and its own event are told of once each, whatever of it is begun anew. */
static int both(struct ctx *c, struct scry_subscription sub, struct probe_op op)
{
	struct pump p = { .c = c, .answer = ask_registers };
	struct probe_vcpu block;
	uint64_t rip;

	DO(find_insn(c, sub, op, &rip));
	DO(guest_do(c, 0, OP(RESET), NULL));
	DO(subscribe(c, sub));
	DO(watch(c, rip));
	DO(guest_start_all(c, &op, 1, ROUNDS));
	DO(pump_run(&p, ALL_VCPUS));
	DO(trap(c, rip, 0));
	for (unsigned i = 0; i < c->vcpus; i++) {
		DO(guest_block(c, i, &block));
		CHECK(c, p.count[sub.kind][i] == ROUNDS && p.count[SCRY_EVENT_MEMORY][i] == ROUNDS &&
		      block.op[0].count == ROUNDS && !block.op[0].faults, "vCPU %u: %llu events of its own, "
		      "%llu fetches, done %llu times, not %u", i, (ull)p.count[sub.kind][i],
		      (ull)p.count[SCRY_EVENT_MEMORY][i], (ull)block.op[0].count, ROUNDS);
	}
	return 0;
}

static int io(struct ctx *c)
{
	return both(c, SUB(IO), OP(OUT, .arg = PORT, .size = 1));
}

static int msr(struct ctx *c)
{
	return both(c, SUB(MSR_WRITE, .msr = { .count = 1, .index = { LSTAR } }),
		    OP(WRMSR, .arg = LSTAR, .value = 0x1000, .step = 8));
}

static int int3(struct ctx *c)
{
	struct probe_vcpu block;

	DO(both(c, SUB(INT3), OP(INT3)));
	DO(guest_block(c, 0, &block));
	CHECK(c, block.exceptions[3] == ROUNDS, "the guest got %llu #BP", (ull)block.exceptions[3]);
	return 0;
}

/* Where the handler of a vector begins. */
static int handler_of(struct ctx *c, unsigned vector, uint64_t *at)
{
	struct probe_vcpu block;
	uint64_t gate[2];

	DO(guest_block(c, 0, &block));
	OK(c, scry_read_phys(c->vm, block.idt + vector * 16, gate, sizeof(gate)));
	*at = (gate[0] & 0xffff) | (gate[0] >> 32 & 0xffff0000) | gate[1] << 32;
	return 0;
}

static const struct fault {
	struct probe_op op;
	unsigned vector;
} faults[] = {
	{ { .code = PROBE_OP_DIV }, 0 },
	{ { .code = PROBE_OP_UD2 }, 6 },
	{ { .code = PROBE_OP_READ, .arg = UINT64_C(1) << 62, .size = 8 }, 13 },
	{ { .code = PROBE_OP_READ, .arg = PROBE_NOWHERE, .size = 8 }, 14 },
	{ { .code = PROBE_OP_LLDT, .value = PROBE_SEL_LDT }, 11 },
};

/* Until the next RESET the LDT's segment is not present. */
static int take_ldt(struct ctx *c)
{
	struct probe_vcpu block;
	uint64_t at, low;

	DO(guest_block(c, 0, &block));
	at = block.gdt + PROBE_SEL_LDT;
	OK(c, scry_read_phys(c->vm, at, &low, 8));
	low &= ~(UINT64_C(1) << 47);
	OK(c, scry_write_phys(c->vm, at, &low, 8));
	return 0;
}

/* The page of the instruction that raises it is trapped, and its handler known. */
static int prepare(struct ctx *c, const struct fault *f, uint64_t *rip, uint64_t *handler)
{
	struct probe_vcpu block;

	DO(guest_run(c, 0, &f->op, 1, 1, &block));
	CHECK(c, block.op[0].faults == 1 && block.last_vector == f->vector, "exception %llu, not %u",
	      (ull)block.last_vector, f->vector);
	*rip = block.last_rip;
	DO(trap(c, *rip, SCRY_EXEC));
	return handler_of(c, f->vector, handler);
}

static int raise(struct ctx *c, const struct fault *f, struct pump *p)
{
	struct probe_vcpu block;

	DO(guest_start(c, 0, &f->op, 1, ROUNDS));
	DO(pump_run(p, 1));
	DO(guest_block(c, 0, &block));
	CHECK(c, block.op[0].faults == ROUNDS && !block.exceptions[1], "vector %u: %llu faults, not %u; %llu #DB",
	      f->vector, (ull)block.op[0].faults, ROUNDS, (ull)block.exceptions[1]);
	return 0;
}

/* It leads to a handler whose page is trapped, too: of that is told, as of any other. */
static int fault(struct ctx *c)
{
	DO(take_ldt(c));
	for (unsigned i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		struct pump p = { .c = c };
		uint64_t rip, handler;

		DO(prepare(c, &faults[i], &rip, &handler));
		DO(watch(c, handler));
		DO(raise(c, &faults[i], &p));
		CHECK(c, p.total == ROUNDS, "vector %u: %llu fetches at its handler, not %u", faults[i].vector,
		      (ull)p.total, ROUNDS);
		DO(trap(c, rip, 0));
		DO(trap(c, handler, 0));
	}
	return 0;
}

/* It leads to a hidden breakpoint. */
static int fault_break(struct ctx *c)
{
	DO(take_ldt(c));
	for (unsigned i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		struct hits h = { 0 };
		struct pump p = { .c = c, .answer = note_hit, .opaque = &h };
		uint64_t rip, handler;
		int number;

		DO(prepare(c, &faults[i], &rip, &handler));
		number = plant(c, BREAK(.address = handler));
		DO(number);
		DO(raise(c, &faults[i], &p));
		CHECK(c, h.count == ROUNDS && h.rip == handler, "vector %u: %llu hits at its handler, not %u",
		      faults[i].vector, (ull)h.count, ROUNDS);
		OK(c, scry_breakpoint_remove(c->vm, number));
		DO(trap(c, rip, 0));
	}
	return 0;
}

/* An interrupt is delivered onto a stack that is trapped, to a handler that is. */
static int interrupt(struct ctx *c)
{
	struct pump p = { .c = c };
	struct probe_vcpu block;
	struct scry_regs regs;
	uint64_t handler;

	DO(handler_of(c, WAKE, &handler));
	OK(c, scry_pause(c->vm));
	OK(c, scry_regs_get(c->vm, 0, &regs));
	OK(c, scry_resume(c->vm));
	DO(trap(c, regs.gpr[SCRY_REG_RSP], SCRY_WRITE));
	DO(watch(c, handler));
	DO(guest_start(c, 0, &OP(HLT), 1, ROUNDS));
	DO(pump_run(&p, 1));
	DO(guest_block(c, 0, &block));
	CHECK(c, block.interrupts == ROUNDS && p.total == ROUNDS, "%llu interrupts, %llu fetches at their handler, "
	      "not %u", (ull)block.interrupts, (ull)p.total, ROUNDS);
	return 0;
}

/* A guest that steps by itself finds each of its steps, and its flag. */
static int own_steps(struct ctx *c)
{
	uint64_t steps, flags;
	struct probe_vcpu block;

	DO(guest_run(c, 0, &OP(TRACE), 1, ROUNDS, &block));
	steps = block.exceptions[1];
	flags = block.op[0].sum;
	CHECK(c, steps == 5 * ROUNDS && flags == 0x100 * ROUNDS, "untrapped %llu steps, TF %llx", (ull)steps,
	      (ull)flags);
	DO(trap(c, block.last_rip, SCRY_EXEC));
	DO(guest_run(c, 0, &OP(TRACE), 1, ROUNDS, &block));
	CHECK(c, block.exceptions[1] == 2 * steps && block.op[0].sum == flags, "%llu steps, not %llu; TF "
	      "%llx", (ull)(block.exceptions[1] - steps), (ull)steps, (ull)block.op[0].sum);
	return 0;
}

/* Nobody wants to know any more, in the middle of it: what comes later is told of anew. */
static int unsubscribed(struct ctx *c)
{
	const struct probe_op op = OP(OUT, .arg = PORT, .size = 1);
	enum scry_event_kind kinds[] = { SCRY_EVENT_MEMORY, SCRY_EVENT_IO };
	uint64_t rip;

	DO(find_insn(c, SUB(IO), op, &rip));
	for (unsigned i = 0; i < ROUNDS; i++) {
		int number = subscribe(c, SUB(IO)), watched = watch(c, rip);
		struct scry_regs regs;
		struct scry_event e;

		DO(number);
		DO(watched);
		DO(guest_start(c, 0, &op, 1, 1));
		for (unsigned n = 0; n < 2; n++) {
			CHECK(c, pump_one(c, &e) == 0, "round %u, event %u: none came", i, n);
			CHECK(c, e.kind == kinds[n] && e.rip == rip, "round %u, event %u: kind %u at %#llx", i,
			      n, e.kind, (ull)e.rip);
			OK(c, scry_regs_get(c->vm, 0, &regs));
			if (n == 1) {
				OK(c, scry_unsubscribe(c->vm, number));
				OK(c, scry_unsubscribe(c->vm, watched));
				DO(trap(c, rip, 0));
			}
			OK(c, scry_reply_action(c->vm, &e, SCRY_CONTINUE));
		}
		DO(guest_wait(c, 0));
	}
	return 0;
}

#define WITH(cap) { SCRY_CAP_EVENT_MEMORY, SCRY_CAP_##cap }

const struct test tests_trapped[] = {
	{ "trapped-io", io, WITH(EVENT_IO) },
	{ "trapped-msr", msr, WITH(EVENT_MSR_WRITE) },
	{ "trapped-int3", int3, WITH(EVENT_INT3) },
	{ "trapped-fault", fault, WITH(EVENT_MEMORY) },
	{ "trapped-fault-break", fault_break, WITH(EVENT_BREAKPOINT) },
	{ "trapped-interrupt", interrupt, WITH(PAUSE) },
	{ "trapped-unsubscribe", unsubscribed, WITH(EVENT_IO) },
	{ "trapped-own-steps", own_steps, WITH(EVENT_MEMORY) },
	{ 0 }
};
