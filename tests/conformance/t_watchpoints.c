/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Watchpoints: told of behind each access, and of no other; with what else there is. */
#include "watch.h"

typedef unsigned long long ull;

/* What it tells, and that the access has been made. */
static int look(struct pump *p, const struct scry_event *e, struct scry_reply *reply)
{
	const struct scry_watchpoint *w = p->opaque;
	struct ctx *c = p->c;
	uint64_t value = 0;

	(void)reply;
	CHECK(c, e->kind == SCRY_EVENT_WATCHPOINT && e->watchpoint.gva == w->address && !e->insn_len &&
	      e->watchpoint.size == w->size && e->watchpoint.access == w->access &&
	      e->watchpoint.number == 1, "kind %u of %#llx, %u bytes, access %u, number %u, insn_len %u",
	      e->kind, (ull)e->watchpoint.gva, e->watchpoint.size, e->watchpoint.access,
	      e->watchpoint.number, e->insn_len);
	OK(c, scry_read_phys(c->vm, w->address, &value, 8));
	CHECK(c, value == p->total, "event %llu, and the guest has written %llu", (ull)p->total,
	      (ull)value);
	OK(c, scry_regs_get(c->vm, e->vcpu, &p->regs));
	CHECK(c, p->regs.rip == e->rip, "rip %#llx, the event's %#llx", (ull)p->regs.rip, (ull)e->rip);
	return 0;
}

static int written(struct ctx *c)
{
	struct scry_watchpoint w = WATCH(.address = c->probe.scratch + 8, .size = 8);
	struct probe_op op = OP(WRITE, .arg = w.address, .size = 8, .value = 1, .step = 1);
	struct pump p = { .c = c, .answer = look, .opaque = &w };
	int number = watch(c, w);

	DO(number);
	DO(guest_start(c, 0, &op, 1, WATCHED));
	DO(pump_run(&p, 1));
	CHECK(c, p.total == WATCHED, "%llu events of %u writes", (ull)p.total, WATCHED);
	DO(watched(c, &op, 1, ALL_VCPUS, WATCHED));
	DO(watched(c, &OP(READ, .arg = w.address, .size = 8), 1, 1, 0));
	op.arg = w.address + 8;
	DO(watched(c, &op, 1, 1, 0));
	op.arg = w.address - 8;
	DO(watched(c, &op, 1, 1, 0));
	OK(c, scry_watchpoint_remove(c->vm, number));
	op.arg = w.address;
	return watched(c, &op, 1, ALL_VCPUS, 0);
}

/* Reads, writes, and both at once, are an event each. */
static int accessed(struct ctx *c)
{
	uint64_t at = c->probe.scratch + 0x100;
	const struct probe_op list[] = {
		OP(READ, .arg = at, .size = 8), OP(WRITE, .arg = at, .size = 8),
		OP(XADD, .arg = at, .value = 1),
	};

	DO(watch(c, WATCH(.address = at, .size = 8, .access = SCRY_READ | SCRY_WRITE)));
	DO(watched(c, list, 3, ALL_VCPUS, UINT64_C(3) * WATCHED));
	return watched(c, &OP(READ, .arg = at + 8, .size = 8), 1, ALL_VCPUS, 0);
}

/* To the byte; and what is larger than the watchpoint. */
static int sized(struct ctx *c)
{
	static const uint32_t sizes[] = { 1, 2, 4, 8 };

	for (unsigned i = 0; i < 4; i++) {
		uint32_t size = sizes[i];
		uint64_t at = c->probe.scratch + 0x200 + size;
		const struct probe_op within[] = {
			OP(WRITE, .arg = at, .size = 1), OP(WRITE, .arg = at + size - 1, .size = 1),
			OP(WRITE, .arg = at & ~UINT64_C(7), .size = 8), OP(WRITE, .arg = at - 1, .size = 2),
		};
		const struct probe_op beside[] = {
			OP(WRITE, .arg = at - 1, .size = 1), OP(WRITE, .arg = at + size, .size = 1),
			OP(WRITE, .arg = at + size, .size = 8), OP(WRITE, .arg = at - 4, .size = 4),
		};
		int number = watch(c, WATCH(.address = at, .size = size));

		DO(number);
		DO(watched(c, within, 4, 1, UINT64_C(4) * WATCHED));
		DO(watched(c, beside, 4, 1, 0));
		OK(c, scry_watchpoint_remove(c->vm, number));
	}
	return 0;
}

/* An access over two pages, of which one is watched. */
static int crossing(struct ctx *c)
{
	uint64_t page = c->probe.scratch + 4096;
	int number = watch(c, WATCH(.address = page, .size = 4));

	DO(number);
	DO(watched(c, &OP(WRITE, .arg = page - 2, .size = 8), 1, 1, WATCHED));
	DO(watched(c, &OP(WRITE, .arg = page - 8, .size = 8), 1, 1, 0));
	OK(c, scry_watchpoint_remove(c->vm, number));
	number = watch(c, WATCH(.address = page - 4, .size = 4));
	DO(number);
	DO(watched(c, &OP(WRITE, .arg = page - 2, .size = 8), 1, 1, WATCHED));
	DO(watched(c, &OP(WRITE, .arg = page, .size = 8), 1, 1, 0));
	return 0;
}

/* In one address space, or on one vCPU. */
static int narrowed(struct ctx *c)
{
	uint64_t at = c->probe.scratch;
	const struct probe_op op = OP(WRITE, .arg = at, .size = 8);
	struct scry_regs regs;
	int number;

	OK(c, scry_pause(c->vm));
	OK(c, scry_regs_get(c->vm, 0, &regs));
	OK(c, scry_resume(c->vm));
	number = watch(c, WATCH(.address = at, .size = 8, .flags = SCRY_WATCHPOINT_CR3,
				.cr3 = c->probe.cr3[regs.cr3 == c->probe.cr3[0]]));
	DO(number);
	DO(watched(c, &op, 1, ALL_VCPUS, 0));
	OK(c, scry_watchpoint_remove(c->vm, number));
	number = watch(c, WATCH(.address = at, .size = 8, .flags = SCRY_WATCHPOINT_CR3,
				.cr3 = regs.cr3 | 5));
	DO(number);
	DO(watched(c, &op, 1, ALL_VCPUS, WATCHED));
	OK(c, scry_watchpoint_remove(c->vm, number));
	DO(watch(c, WATCH(.address = at, .size = 8, .vcpus = UINT64_C(1) << (c->vcpus - 1))));
	DO(watched(c, &op, 1, UINT64_C(1) << (c->vcpus - 1), WATCHED));
	return c->vcpus > 1 ? watched(c, &op, 1, 1, 0) : 0;
}

static int refused(struct ctx *c, struct scry_watchpoint w)
{
	REFUSED(c, scry_watchpoint_add(c->vm, &w), SCRY_E_INVAL);
	return 0;
}

/* All four, each by its number; and what cannot be. */
static int limits(struct ctx *c)
{
	uint64_t at = c->probe.scratch;
	struct scry_watchpoint w = WATCH(.address = at, .size = 8);

	for (int i = 0; i < SCRY_WATCHPOINTS; i++) {
		w.address = at + 64 * (unsigned)i;
		DO(watch(c, w));
	}
	REFUSED(c, scry_watchpoint_add(c->vm, &w), SCRY_E_NOMEM);
	for (uint32_t i = 0; i < SCRY_WATCHPOINTS; i++)
		DO(watched_by(c, &OP(WRITE, .arg = at + 64 * i, .size = 8), i + 1));
	for (int i = SCRY_WATCHPOINTS; i >= 1; i--)
		OK(c, scry_watchpoint_remove(c->vm, i));
	REFUSED(c, scry_watchpoint_remove(c->vm, 1), SCRY_E_NOTFOUND);
	REFUSED(c, scry_watchpoint_remove(c->vm, 0), SCRY_E_NOTFOUND);
	REFUSED(c, scry_watchpoint_remove(c->vm, SCRY_WATCHPOINTS + 1), SCRY_E_NOTFOUND);
	DO(refused(c, WATCH(.address = at, .size = 3)));
	DO(refused(c, WATCH(.address = at + 4, .size = 8)));
	DO(refused(c, WATCH(.address = at, .size = 8, .access = SCRY_READ)));
	DO(refused(c, WATCH(.address = at, .size = 8, .flags = 2)));
	DO(refused(c, WATCH(.address = at, .size = 8, .vcpus = UINT64_C(1) << 63)));
	DO(refused(c, WATCH(.address = UINT64_C(1) << 62, .size = 8)));
	REFUSED(c, scry_subscribe(c->vm, &SUB(WATCHPOINT)), SCRY_E_INVAL);
	return 0;
}

/* It goes while every vCPU hits it: hits of it are under way, and the guest gets no #DB. */
static int removed_hot(struct ctx *c)
{
	const struct probe_op op = OP(WRITE, .arg = c->probe.scratch, .size = 8);
	struct pump p = { .c = c };
	struct probe_vcpu block;
	struct scry_event e;
	int number;

	for (unsigned n = 0; n < 4; n++) {
		number = watch(c, WATCH(.address = c->probe.scratch, .size = 4));
		DO(number);
		DO(guest_start_all(c, &op, 1, WATCHED));
		DO(pump_one(c, &e));
		OK(c, scry_reply_action(c->vm, &e, SCRY_CONTINUE));
		sleep_ms(n % 3);
		OK(c, scry_watchpoint_remove(c->vm, number));
		DO(pump_run(&p, ALL_VCPUS));
		for (unsigned i = 0; i < c->vcpus; i++) {
			DO(guest_block(c, i, &block));
			CHECK(c, block.op[0].count == WATCHED && !block.exceptions[1],
			      "vCPU %u: %llu writes, %llu #DB", i, (ull)block.op[0].count,
			      (ull)block.exceptions[1]);
		}
	}
	return 0;
}

/* An exception in place of what comes next, and registers. */
static int inject(struct pump *p, const struct scry_event *e, struct scry_reply *reply)
{
	(void)e;
	reply->action = SCRY_INJECT;
	reply->exception.vector = 3;
	p->regs.gpr[SCRY_REG_R15] = e->gpr[SCRY_REG_R15];
	reply->set = SCRY_REG_BIT(SCRY_REG_R15);
	reply->regs = &p->regs;
	return 0;
}

static int injected(struct ctx *c)
{
	const struct probe_op op = OP(WRITE, .arg = c->probe.scratch, .size = 8);
	struct pump p = { .c = c, .answer = inject };
	struct probe_vcpu block;

	DO(watch(c, WATCH(.address = c->probe.scratch, .size = 8)));
	DO(guest_start(c, 0, &op, 1, WATCHED));
	DO(pump_run(&p, 1));
	DO(guest_block(c, 0, &block));
	CHECK(c, p.total == WATCHED && block.exceptions[3] == WATCHED && block.op[0].count == WATCHED,
	      "%llu events, %llu #BP, %llu writes", (ull)p.total, (ull)block.exceptions[3],
	      (ull)block.op[0].count);
	return 0;
}

#define NEEDS { SCRY_CAP_EVENT_WATCHPOINT }

const struct test tests_watchpoints[] = {
	{ "watch-write", written, NEEDS },
	{ "watch-access", accessed, NEEDS },
	{ "watch-sizes", sized, NEEDS },
	{ "watch-crossing", crossing, NEEDS },
	{ "watch-narrowed", narrowed, NEEDS },
	{ "watch-limits", limits, NEEDS },
	{ "watch-removed-hot", removed_hot, NEEDS },
	{ "watch-inject", injected, NEEDS },
	{ 0 },
};
