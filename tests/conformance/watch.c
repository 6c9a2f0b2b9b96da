/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "watch.h"

typedef unsigned long long ull;

int watch(struct ctx *c, struct scry_watchpoint watchpoint)
{
	int number = scry_watchpoint_add(c->vm, &watchpoint);

	OK(c, number);
	CHECK(c, number > 0 && number <= SCRY_WATCHPOINTS, "scry_watchpoint_add() gave %d", number);
	return number;
}

static int check_one(struct ctx *c, unsigned vcpu, const struct pump *p, unsigned count,
		     uint64_t hits)
{
	struct probe_vcpu block;

	DO(guest_block(c, vcpu, &block));
	CHECK(c, p->count[SCRY_EVENT_WATCHPOINT][vcpu] == hits && !block.exceptions[1],
	      "vCPU %u: %llu hits, not %llu, %llu #DB", vcpu,
	      (ull)p->count[SCRY_EVENT_WATCHPOINT][vcpu], (ull)hits, (ull)block.exceptions[1]);
	for (unsigned i = 0; i < count; i++)
		CHECK(c, block.op[i].count == WATCHED, "operation %u done %llu times", i,
		      (ull)block.op[i].count);
	return 0;
}

int watched(struct ctx *c, const struct probe_op *list, unsigned count, uint64_t vcpus,
	    uint64_t hits)
{
	struct pump p = { .c = c };

	for (unsigned i = 0; i < c->vcpus; i++)
		if (vcpus >> i & 1)
			DO(guest_start(c, i, list, count, WATCHED));
	DO(pump_run(&p, vcpus));
	for (unsigned i = 0; i < c->vcpus; i++)
		if (vcpus >> i & 1)
			DO(check_one(c, i, &p, count, hits));
	return 0;
}

static int is_it(struct pump *p, const struct scry_event *e, struct scry_reply *reply)
{
	const uint32_t *number = p->opaque;
	struct ctx *c = p->c;

	(void)reply;
	CHECK(c, e->kind == SCRY_EVENT_WATCHPOINT && e->watchpoint.number == *number,
	      "kind %u, watchpoint %u, not %u", e->kind, e->watchpoint.number, *number);
	return 0;
}

int watched_by(struct ctx *c, const struct probe_op *op, uint32_t number)
{
	struct pump p = { .c = c, .answer = is_it, .opaque = &number };

	DO(guest_start(c, 0, op, 1, WATCHED));
	DO(pump_run(&p, 1));
	CHECK(c, p.total == WATCHED, "%llu hits of watchpoint %u", (ull)p.total, number);
	return 0;
}
