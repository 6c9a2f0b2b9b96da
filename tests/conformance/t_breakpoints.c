/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Hidden breakpoints: each hit told once, and nothing to be seen of them in the guest. */
#include <string.h>

#include "hits.h"

typedef unsigned long long ull;

#define PAGE 4096u

static int hit(struct ctx *c)
{
	uint64_t at = c->probe.patch, value = 0;
	uint8_t seen[PAGE], before[PAGE];
	struct hits h = { 0 };
	struct probe_op read;
	int number;

	OK(c, scry_read_phys(c->vm, at, before, PAGE));
	number = plant(c, BREAK(.address = at));
	DO(number);
	DO(call_at(c, at, ALL_VCPUS, &h));
	CHECK(c, h.count == (uint64_t)N * c->vcpus && h.rip == at && h.number == (uint32_t)number,
	      "%llu hits of breakpoint %u, the last at %#llx", (ull)h.count, h.number, (ull)h.rip);
	for (unsigned i = 0; i < c->vcpus; i++) {
		DO(call_result(c, i, &value));
		CHECK(c, value == 1, "the code gave %llu", (ull)value);
	}
	DO(guest_do(c, 0, OP(READ, .arg = at, .size = 8), &read));
	OK(c, scry_read_phys(c->vm, at, seen, PAGE));
	CHECK(c, memcmp(&read.out[0], before, 8) == 0 && memcmp(seen, before, PAGE) == 0,
	      "the guest's code is not as it was");
	OK(c, scry_breakpoint_remove(c->vm, number));
	DO(call_at(c, at, ALL_VCPUS, &h));
	CHECK(c, h.count == (uint64_t)N * c->vcpus, "a hit of a breakpoint that is gone");
	return 0;
}

/* Planted where code has just been executed, again and again. */
static int come_and_go(struct ctx *c)
{
	uint64_t at = c->probe.patch;

	for (unsigned i = 0; i < 10; i++) {
		struct hits h = { 0 };
		int number;

		DO(call_at(c, at, 1, &h));
		CHECK(c, h.count == 0, "%llu hits without a breakpoint", (ull)h.count);
		number = plant(c, BREAK(.address = at));
		DO(number);
		DO(call_at(c, at, 1, &h));
		CHECK(c, h.count == N, "%llu hits, not %u", (ull)h.count, N);
		OK(c, scry_breakpoint_remove(c->vm, number));
	}
	return 0;
}

/* It goes while every vCPU is at it: hits of it are under way, and the guest gets no #BP. */
static int removed_hot(struct ctx *c)
{
	uint64_t at = c->probe.patch;
	const struct probe_op op = OP(EXEC, .arg = at, .flags = PROBE_CHECK, .expect = 1);
	struct pump p = { .c = c };
	struct probe_vcpu block;
	struct scry_event e;
	int number;

	for (unsigned n = 0; n < 10; n++) {
		number = plant(c, BREAK(.address = at));
		DO(number);
		DO(guest_start_all(c, &op, 1, N));
		DO(pump_one(c, &e));
		OK(c, scry_reply_action(c->vm, &e, SCRY_CONTINUE));
		sleep_ms(n % 3);
		OK(c, scry_breakpoint_remove(c->vm, number));
		DO(pump_run(&p, ALL_VCPUS));
		for (unsigned i = 0; i < c->vcpus; i++) {
			DO(guest_block(c, i, &block));
			CHECK(c, block.op[0].count == N && !block.op[0].mismatches &&
			      !block.exceptions[3], "vCPU %u: %llu calls, %llu gave something else, %llu "
			      "#BP", i, (ull)block.op[0].count, (ull)block.op[0].mismatches,
			      (ull)block.exceptions[3]);
		}
	}
	return 0;
}

static int skipped(struct ctx *c)
{
	struct scry_regs regs = { .gpr[SCRY_REG_RAX] = 99 };
	struct hits h = { .reply = { .action = SCRY_SKIP, .set = SCRY_REG_BIT(SCRY_REG_RAX),
				     .regs = &regs } };
	uint64_t value;

	DO(plant(c, BREAK(.address = c->probe.patch)));
	DO(call_at(c, c->probe.patch, ALL_VCPUS, &h));
	CHECK(c, h.count == (uint64_t)N * c->vcpus, "%llu hits", (ull)h.count);
	DO(call_result(c, 0, &value));
	CHECK(c, value == 99, "the code gave %llu", (ull)value);
	/* And then executed after all, with other registers. */
	h.count = 0;
	h.reply.action = SCRY_CONTINUE;
	DO(call_at(c, c->probe.patch, ALL_VCPUS, &h));
	DO(call_result(c, 0, &value));
	CHECK(c, h.count == (uint64_t)N * c->vcpus && value == 1, "%llu hits, the code gave %llu",
	      (ull)h.count, (ull)value);
	return 0;
}

/* In one address space, on one vCPU, or by physical address. */
static int narrowed(struct ctx *c)
{
	uint64_t at = c->probe.patch;
	struct scry_regs regs;
	struct hits h = { 0 };
	int number;

	OK(c, scry_pause(c->vm));
	OK(c, scry_regs_get(c->vm, 0, &regs));
	OK(c, scry_resume(c->vm));
	DO(plant(c, BREAK(.address = at, .flags = SCRY_BREAKPOINT_CR3,
			  .cr3 = c->probe.cr3[regs.cr3 == c->probe.cr3[0]])));
	DO(plant(c, BREAK(.address = c->probe.scratch + at % PAGE)));
	DO(plant(c, BREAK(.address = c->probe.scratch + PAGE + at % PAGE,
			  .flags = SCRY_BREAKPOINT_PHYSICAL)));
	DO(call_at(c, at, ALL_VCPUS, &h));
	CHECK(c, h.count == 0, "%llu hits of breakpoints elsewhere", (ull)h.count);

	number = plant(c, BREAK(.address = at, .flags = SCRY_BREAKPOINT_CR3, .cr3 = regs.cr3 | 5));
	DO(number);
	DO(call_at(c, at, ALL_VCPUS, &h));
	CHECK(c, h.count == (uint64_t)N * c->vcpus && h.number == (uint32_t)number,
	      "%llu hits by CR3", (ull)h.count);
	OK(c, scry_breakpoint_remove(c->vm, number));

	h.count = 0;
	number = plant(c, BREAK(.address = at, .vcpus = UINT64_C(1) << (c->vcpus - 1)));
	DO(number);
	DO(call_at(c, at, ALL_VCPUS, &h));
	CHECK(c, h.count == N, "%llu hits on one vCPU", (ull)h.count);
	OK(c, scry_breakpoint_remove(c->vm, number));

	h.count = 0;
	DO(plant(c, BREAK(.address = at, .flags = SCRY_BREAKPOINT_PHYSICAL)));
	DO(call_at(c, at, ALL_VCPUS, &h));
	CHECK(c, h.count == (uint64_t)N * c->vcpus, "%llu hits by physical address", (ull)h.count);
	return 0;
}

/* It changes a register each time, so that the instruction is begun anew. */
static int change(struct pump *p, const struct scry_event *e, struct scry_reply *reply)
{
	(void)e;
	p->regs.gpr[SCRY_REG_RBX] = p->total;
	reply->set = SCRY_REG_BIT(SCRY_REG_RBX);
	reply->regs = &p->regs;
	return 0;
}

/* Together with other events of the same instruction. */
static int together(struct ctx *c)
{
	struct pump p = { .c = c }, changing = { .c = c, .answer = change };
	struct probe_op op = OP(CPUID, .arg = 1);
	struct pump *pumps[] = { &p, &changing };
	uint64_t rip, all = 0;

	DO(find_insn(c, SUB(CPUID), OP(CPUID, .arg = 1), &rip));	/* in the middle of its block */
	DO(subscribe(c, SUB(CPUID)));
	DO(subscribe(c, SUB(MEMORY)));
	DO(plant(c, BREAK(.address = rip)));
	for (unsigned i = 0; i < 2; i++) {
		DO(guest_start_all(c, &op, 1, N));
		DO(pump_run(pumps[i], ALL_VCPUS));
		for (unsigned n = 0; n < c->vcpus; n++) {
			CHECK(c, pumps[i]->count[SCRY_EVENT_BREAKPOINT][n] == N &&
			      pumps[i]->count[SCRY_EVENT_CPUID][n] == N,
			      "%s: vCPU %u had %llu hits, %llu CPUIDs", i ? "changing" : "continue", n,
			      (ull)pumps[i]->count[SCRY_EVENT_BREAKPOINT][n],
			      (ull)pumps[i]->count[SCRY_EVENT_CPUID][n]);
		}
	}
	/* Fetches of its page, too: how many there are is the guest's business. */
	OK(c, scry_view_protect(c->vm, 0, rip >> 12, 1, SCRY_EXEC));
	DO(guest_start(c, 0, &op, 1, N));
	p = (struct pump){ .c = c };
	DO(pump_done(&p, 1));
	OK(c, scry_view_protect(c->vm, 0, rip >> 12, 1, 0));
	DO(pump_drain(c));
	all = p.count[SCRY_EVENT_BREAKPOINT][0];
	CHECK(c, all == N && p.count[SCRY_EVENT_CPUID][0] == N && p.count[SCRY_EVENT_MEMORY][0] > N,
	      "with fetches: %llu hits, %llu CPUIDs, %llu fetches", (ull)all,
	      (ull)p.count[SCRY_EVENT_CPUID][0], (ull)p.count[SCRY_EVENT_MEMORY][0]);
	return 0;
}

static int stepping(struct ctx *c)
{
	uint64_t at = c->probe.patch;
	struct hits h = { 0 };

	DO(plant(c, BREAK(.address = at)));
	DO(subscribe(c, SUB(STEP, .step = { .count = 1000 })));
	DO(call_at(c, at, 1, &h));
	CHECK(c, h.count == N, "%llu hits while it steps", (ull)h.count);
	return 0;
}

/* The instruction is executed in another view, where it is another. */
static int in_view(struct ctx *c)
{
	uint64_t at = c->probe.patch, value = 0;
	struct hits h = { .reply = { .flags = SCRY_REPLY_STEP } };
	uint8_t page[PAGE];
	int view;

	OK(c, scry_read_phys(c->vm, at, page, PAGE));
	page[1] = 7;
	OK(c, scry_write_phys(c->vm, c->probe.scratch, page, PAGE));
	view = scry_view_create(c->vm, 0);
	OK(c, view);
	OK(c, scry_view_remap(c->vm, (unsigned)view, at >> 12, c->probe.scratch >> 12));
	h.reply.view = (uint32_t)view;
	DO(plant(c, BREAK(.address = at)));
	DO(call_at(c, at, ALL_VCPUS, &h));
	CHECK(c, h.count == (uint64_t)N * c->vcpus, "%llu hits", (ull)h.count);
	DO(call_result(c, 0, &value));
	CHECK(c, value == 7, "the code gave %llu", (ull)value);
	return 0;
}

static int limits(struct ctx *c)
{
	struct scry_breakpoint b = BREAK(.address = 0x1000);
	struct hits h = { 0 };

	for (unsigned i = 0; i < SCRY_BREAKPOINTS; i++) {
		/* The first where it is met, the others in pages beyond, which all are RAM. */
		b.address = c->probe.patch;
		if (i)
			b.address += (i % 255 + 1) * UINT64_C(15) * PAGE + i / 255;
		DO(plant(c, b));
	}
	REFUSED(c, scry_breakpoint_add(c->vm, &b), SCRY_E_NOMEM);
	DO(call_at(c, c->probe.patch, 1, &h));
	CHECK(c, h.count == N && h.number == 1, "%llu hits of %u", (ull)h.count, h.number);
	for (int i = SCRY_BREAKPOINTS; i >= 1; i--)
		OK(c, scry_breakpoint_remove(c->vm, i));
	REFUSED(c, scry_breakpoint_remove(c->vm, 1), SCRY_E_NOTFOUND);
	REFUSED(c, scry_breakpoint_remove(c->vm, 0), SCRY_E_NOTFOUND);
	REFUSED(c, scry_breakpoint_remove(c->vm, SCRY_BREAKPOINTS + 1), SCRY_E_NOTFOUND);
	b.flags = 8;
	REFUSED(c, scry_breakpoint_add(c->vm, &b), SCRY_E_INVAL);
	b = BREAK(.vcpus = UINT64_C(1) << 63);
	REFUSED(c, scry_breakpoint_add(c->vm, &b), SCRY_E_INVAL);
	b = BREAK(.address = UINT64_C(1) << 52, .flags = SCRY_BREAKPOINT_PHYSICAL);
	REFUSED(c, scry_breakpoint_add(c->vm, &b), SCRY_E_INVAL);
	b.sz = 1;
	REFUSED(c, scry_breakpoint_add(c->vm, &b), SCRY_E_INVAL);
	REFUSED(c, scry_subscribe(c->vm, &SUB(BREAKPOINT)), SCRY_E_INVAL);
	return 0;
}

#define NEEDS { SCRY_CAP_EVENT_BREAKPOINT }

const struct test tests_breakpoints[] = {
	{ "break-hit", hit, NEEDS },
	{ "break-come-and-go", come_and_go, NEEDS },
	{ "break-removed-hot", removed_hot, NEEDS },
	{ "break-skip", skipped, NEEDS },
	{ "break-narrowed", narrowed, NEEDS },
	{ "break-together", together, { SCRY_CAP_EVENT_BREAKPOINT, SCRY_CAP_EVENT_CPUID, SCRY_CAP_VIEWS } },
	{ "break-stepping", stepping, { SCRY_CAP_EVENT_BREAKPOINT, SCRY_CAP_EVENT_STEP } },
	{ "break-view", in_view, { SCRY_CAP_EVENT_BREAKPOINT, SCRY_CAP_VIEWS } },
	{ "break-limits", limits, NEEDS },
	{ 0 },
};
