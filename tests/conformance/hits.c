/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hits.h"

typedef unsigned long long ull;

int plant(struct ctx *c, struct scry_breakpoint breakpoint)
{
	int number = scry_breakpoint_add(c->vm, &breakpoint);

	OK(c, number);
	CHECK(c, number > 0, "scry_breakpoint_add() gave %d, not a positive number", number);
	return number;
}

int note_hit(struct pump *p, const struct scry_event *e, struct scry_reply *reply)
{
	struct hits *h = p->opaque;
	size_t size = reply->sz;

	if (e->kind != SCRY_EVENT_BREAKPOINT)
		return 0;
	h->count++;
	h->rip = e->rip;
	h->number = e->breakpoint.number;
	*reply = h->reply;
	reply->sz = size;
	return 0;
}

int call_at(struct ctx *c, uint64_t at, uint64_t vcpus, struct hits *h)
{
	struct pump p = { .c = c, .answer = note_hit, .opaque = h };

	for (unsigned i = 0; i < c->vcpus; i++)
		if (vcpus >> i & 1)
			DO(guest_start(c, i, &OP(EXEC, .arg = at), 1, N));
	return pump_run(&p, vcpus);
}

int call_result(struct ctx *c, unsigned vcpu, uint64_t *value)
{
	struct probe_vcpu block;

	DO(guest_block(c, vcpu, &block));
	CHECK(c, block.op[0].count == N, "%llu calls, not %u", (ull)block.op[0].count, N);
	*value = block.op[0].out[0];
	return 0;
}

int find_insn(struct ctx *c, struct scry_subscription sub, struct probe_op op, uint64_t *rip)
{
	int number = subscribe(c, sub);
	struct scry_event e;

	DO(number);
	DO(guest_start(c, 0, &op, 1, 1));
	DO(pump_one(c, &e));
	*rip = e.rip;
	OK(c, scry_reply_action(c->vm, &e, SCRY_CONTINUE));
	DO(guest_wait(c, 0));
	OK(c, scry_unsubscribe(c->vm, number));
	return 0;
}
