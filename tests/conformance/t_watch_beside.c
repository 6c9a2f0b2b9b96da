/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Watchpoints beside what else uses debug registers, or is told of the same instruction. */
#include "hits.h"
#include "watch.h"

typedef unsigned long long ull;

#define DR7_ALWAYS    0x400u
#define GUESTS_WRITES(n) (3u << 2 * (n) | 0xdu << (16 + 4 * (n)))	/* of 4 bytes */

/* The guest has a watchpoint of its own in DRn. */
static int guest_watches(struct ctx *c, unsigned n, uint64_t address)
{
	DO(guest_do(c, 0, OP(DR_WRITE, .arg = n, .value = address), NULL));
	return guest_do(c, 0, OP(DR_WRITE, .arg = 7, .value = DR7_ALWAYS | GUESTS_WRITES(n)), NULL);
}

/* The guest writes there: so many hits, and so many #DB of its own. */
static int both(struct ctx *c, uint64_t at, uint64_t hits, uint64_t debug)
{
	struct pump p = { .c = c };
	struct probe_vcpu block;
	uint64_t before;

	DO(guest_block(c, 0, &block));
	before = block.exceptions[1];
	DO(guest_start(c, 0, &OP(WRITE, .arg = at, .size = 4), 1, WATCHED));
	DO(pump_run(&p, 1));
	DO(guest_block(c, 0, &block));
	CHECK(c, p.total == hits && block.exceptions[1] - before == debug && !block.op[0].faults,
	      "%llu hits, not %llu, and %llu #DB, not %llu", (ull)p.total, (ull)hits,
	      (ull)(block.exceptions[1] - before), (ull)debug);
	return 0;
}

/* Its own registers keep their values, and their effect. */
static int guests(struct ctx *c)
{
	uint64_t own = c->probe.scratch + 0x40, ours = c->probe.scratch + 0x80;
	struct probe_op read;
	int number;

	DO(guest_watches(c, 1, own));
	DO(both(c, own, 0, WATCHED));
	number = watch(c, WATCH(.address = ours, .size = 4));
	DO(number);
	DO(both(c, own, 0, WATCHED));
	DO(both(c, ours, WATCHED, 0));
	DO(guest_do(c, 0, OP(DR_READ, .arg = 1), &read));
	CHECK(c, read.out[0] == own, "DR1 is %#llx to the guest", (ull)read.out[0]);
	DO(guest_do(c, 0, OP(DR_READ, .arg = 7), &read));
	CHECK(c, read.out[0] == (DR7_ALWAYS | GUESTS_WRITES(1)), "DR7 is %#llx to the guest",
	      (ull)read.out[0]);
	for (unsigned i = 0; i < 4; i += 2) {
		DO(guest_do(c, 0, OP(DR_READ, .arg = i), &read));
		CHECK(c, !read.out[0], "DR%u is %#llx to the guest", i, (ull)read.out[0]);
	}
	OK(c, scry_watchpoint_remove(c->vm, number));
	DO(both(c, ours, 0, 0));
	return both(c, own, 0, WATCHED);
}

/* Both at the same place. */
static int guests_same(struct ctx *c)
{
	uint64_t at = c->probe.scratch + 0x40;
	int number;

	DO(guest_watches(c, 1, at));
	number = watch(c, WATCH(.address = at, .size = 4));
	DO(number);
	DO(both(c, at, WATCHED, WATCHED));
	OK(c, scry_watchpoint_remove(c->vm, number));
	return both(c, at, 0, WATCHED);
}

/* With its own TF the guest gets its #DB behind each instruction, and we our event once. */
static int guests_steps(struct ctx *c)
{
	uint64_t at = c->probe.scratch;
	const struct probe_op list[] = { OP(TRACE), OP(WRITE, .arg = at, .size = 8), OP(TRACE) };
	struct pump p = { .c = c };
	struct probe_vcpu before, after;

	DO(guest_run(c, 0, list, 3, WATCHED, &before));
	DO(watch(c, WATCH(.address = at, .size = 8)));
	DO(guest_start(c, 0, list, 3, WATCHED));
	DO(pump_run(&p, 1));
	DO(guest_block(c, 0, &after));
	CHECK(c, p.total == WATCHED && after.exceptions[1] == 2 * before.exceptions[1],
	      "%llu hits; %llu #DB, then %llu", (ull)p.total, (ull)before.exceptions[1],
	      (ull)(after.exceptions[1] - before.exceptions[1]));
	return 0;
}

/* Where the probe's write is, and what comes behind it. */
static int find_write(struct ctx *c, struct probe_op op, uint64_t *rip, uint32_t *len)
{
	struct scry_event e;

	OK(c, scry_view_protect(c->vm, 0, op.arg >> 12, 1, SCRY_WRITE));
	DO(subscribe(c, SUB(MEMORY)));
	DO(guest_start(c, 0, &op, 1, 1));
	DO(pump_one(c, &e));
	*rip = e.rip;
	*len = e.insn_len;
	OK(c, scry_reply_action(c->vm, &e, SCRY_CONTINUE));
	return guest_wait(c, 0);
}

/* What comes of one round, in order. */
struct order {
	const enum scry_event_kind *kinds;
	unsigned count, next;
	uint64_t write, behind;		/* rip */
};

static int in_order(struct pump *p, const struct scry_event *e, struct scry_reply *reply)
{
	struct order *o = p->opaque;
	struct ctx *c = p->c;
	enum scry_event_kind wanted = o->kinds[o->next % o->count];
	uint64_t rip = wanted == SCRY_EVENT_WATCHPOINT || o->next % o->count == o->count - 1 ?
		       o->behind : o->write;

	(void)reply;
	CHECK(c, e->kind == wanted && e->rip == rip, "event %u is %s at %#llx, not %s at %#llx",
	      o->next, scry_event_name(e->kind), (ull)e->rip, scry_event_name(wanted), (ull)rip);
	o->next++;
	/* Registers are asked for: under some hypervisors the instruction begins anew then. */
	OK(c, scry_regs_get(c->vm, e->vcpu, &p->regs));
	return 0;
}

/* A breakpoint at the instruction, the access, the watchpoint, a breakpoint behind it. */
static int together(struct ctx *c)
{
	static const enum scry_event_kind kinds[] = {
		SCRY_EVENT_BREAKPOINT, SCRY_EVENT_MEMORY, SCRY_EVENT_WATCHPOINT, SCRY_EVENT_BREAKPOINT,
	};
	const struct probe_op op = OP(WRITE, .arg = c->probe.scratch, .size = 8);
	struct order o = { .kinds = kinds, .count = 4 };
	struct pump p = { .c = c, .answer = in_order, .opaque = &o };
	uint32_t len = 0;

	DO(find_write(c, op, &o.write, &len));
	o.behind = o.write + len;
	DO(plant(c, BREAK(.address = o.write)));
	DO(plant(c, BREAK(.address = o.behind)));
	DO(watch(c, WATCH(.address = op.arg, .size = 8)));
	DO(guest_start(c, 0, &op, 1, WATCHED));
	DO(pump_run(&p, 1));
	CHECK(c, o.next == 4 * WATCHED, "%u events, not %u", o.next, 4 * WATCHED);
	return 0;
}

/* Breakpoints that can be elsewhere give way; they are met all the same. */
static int breakpoints(struct ctx *c)
{
	uint64_t at = c->probe.scratch;
	struct hits h = { 0 };

	DO(plant(c, BREAK(.address = c->probe.patch)));
	for (unsigned i = 0; i < 3; i++)
		DO(plant(c, BREAK(.address = c->probe.patch_inline + i)));
	for (uint32_t i = 0; i < SCRY_WATCHPOINTS; i++) {
		DO(watch(c, WATCH(.address = at + 64 * i, .size = 8)));
		DO(watched_by(c, &OP(WRITE, .arg = at + 64 * i, .size = 8), i + 1));
	}
	DO(call_at(c, c->probe.patch, ALL_VCPUS, &h));
	CHECK(c, h.count == (uint64_t)N * c->vcpus, "%llu hits of the breakpoint", (ull)h.count);
	return 0;
}

struct steps {
	bool hit;			/* told of, and its step is to come */
	uint64_t rip, behind;
};

/* The step of an instruction that hits it comes next, at the same place. */
static int step_behind(struct pump *p, const struct scry_event *e, struct scry_reply *reply)
{
	struct steps *s = p->opaque;
	struct ctx *c = p->c;

	(void)reply;
	if (e->kind == SCRY_EVENT_WATCHPOINT) {
		CHECK(c, !s->hit, "two hits of one instruction");
		s->hit = true;
		s->rip = e->rip;
		return 0;
	}
	CHECK(c, !s->hit || s->rip == e->rip, "a hit at %#llx, then a step at %#llx", (ull)s->rip,
	      (ull)e->rip);
	s->behind += s->hit;
	s->hit = false;
	return 0;
}

static int stepping(struct ctx *c)
{
	uint64_t at = c->probe.scratch;
	const struct probe_op list[] = {
		OP(WRITE, .arg = at, .size = 8), OP(WRITE, .arg = at + 8, .size = 8),
		OP(READ, .arg = at, .size = 1), OP(XADD, .arg = at),
	};
	struct steps s = { 0 };
	struct pump p = { .c = c, .answer = step_behind, .opaque = &s };

	DO(watch(c, WATCH(.address = at, .size = 8)));
	DO(subscribe(c, SUB(STEP, .vcpus = 1)));
	DO(guest_start(c, 0, list, 4, 3));
	DO(pump_done(&p, 1));
	CHECK(c, p.count[SCRY_EVENT_WATCHPOINT][0] == 6 && s.behind == 6,
	      "%llu hits, and %llu steps behind them", (ull)p.count[SCRY_EVENT_WATCHPOINT][0],
	      (ull)s.behind);
	return 0;
}

#define WATCHES SCRY_CAP_EVENT_WATCHPOINT

const struct test tests_watch_beside[] = {
	{ "watch-guests", guests, { WATCHES } },
	{ "watch-guests-same", guests_same, { WATCHES } },
	{ "watch-guests-steps", guests_steps, { WATCHES } },
	{ "watch-together", together, { WATCHES, SCRY_CAP_EVENT_BREAKPOINT, SCRY_CAP_EVENT_MEMORY } },
	{ "watch-breaks", breakpoints, { WATCHES, SCRY_CAP_EVENT_BREAKPOINT, SCRY_CAP_VIEWS } },
	{ "watch-stepping", stepping, { WATCHES, SCRY_CAP_EVENT_STEP } },
	{ 0 },
};
