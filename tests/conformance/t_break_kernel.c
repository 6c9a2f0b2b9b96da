/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Breakpoints in what a kernel does: beside its ports, and in its text, where they may be seen. */
#include <string.h>

#include "hits.h"

typedef unsigned long long ull;

#define PAGE 4096u
#define PORT 0x6f0	/* of no device */

static int use_port(struct ctx *c, struct hits *h, uint64_t hits)
{
	const struct probe_op list[] = { OP(EXEC, .arg = c->probe.patch),
					 OP(OUT, .arg = PORT, .size = 1, .value = 5),
					 OP(IN, .arg = PORT, .size = 4) };
	struct pump p = { .c = c, .answer = note_hit, .opaque = h };
	struct probe_vcpu block;

	h->count = 0;
	DO(guest_start(c, 0, list, 3, N));
	DO(pump_run(&p, 1));
	DO(guest_block(c, 0, &block));
	CHECK(c, h->count == hits, "%llu hits, not %llu", (ull)h->count, (ull)hits);
	CHECK(c, block.op[1].count == N && block.op[2].count == N && block.op[2].out[0] == UINT32_MAX,
	      "%llu OUT and %llu IN, which gave %#llx", (ull)block.op[1].count,
	      (ull)block.op[2].count, (ull)block.op[2].out[0]);
	return 0;
}

/* With no subscription there is nothing else that asks for what the vCPU does. */
static int alone(struct ctx *c)
{
	struct hits h = { 0 };
	uint64_t out;
	int number;

	DO(find_insn(c, SUB(IO), OP(OUT, .arg = PORT, .size = 1), &out));
	DO(plant(c, BREAK(.address = c->probe.patch)));
	DO(use_port(c, &h, N));
	number = plant(c, BREAK(.address = out, .flags = SCRY_BREAKPOINT_PHYSICAL));
	DO(number);
	DO(use_port(c, &h, 2 * N));
	OK(c, scry_breakpoint_remove(c->vm, number));
	return use_port(c, &h, N);
}

/* Those that a hypervisor may have at hand for a few addresses are taken. */
static int take_the_fast(struct ctx *c)
{
	for (unsigned i = 0; i < 4; i++)
		DO(plant(c, BREAK(.address = PROBE_ALIAS + c->probe.scratch + i)));
	return 0;
}

static int expect(struct ctx *c, uint64_t at, struct hits *h, uint64_t hits, uint64_t expected)
{
	uint64_t value;

	h->count = 0;
	DO(call_at(c, at, ALL_VCPUS, h));
	CHECK(c, h->count == hits * c->vcpus, "%llu hits", (ull)h->count);
	for (unsigned i = 0; i < c->vcpus; i++) {
		DO(call_result(c, i, &value));
		CHECK(c, value == expected, "vCPU %u: the code gave %llu, not %llu", i, (ull)value,
		      (ull)expected);
	}
	return 0;
}

/* Have the guest write a byte of its own code. */
static int patch(struct ctx *c, uint64_t at, uint8_t byte)
{
	struct probe_op done;
	uint8_t seen;

	DO(guest_do(c, 0, OP(WRITE, .arg = at, .size = 1, .value = byte), &done));
	OK(c, scry_read_phys(c->vm, at - PROBE_ALIAS, &seen, 1));
	CHECK(c, seen == byte, "the guest wrote %#x into its code, where %#x is", byte, seen);
	return 0;
}

static int visible(struct ctx *c)
{
	const struct scry_breakpoint b = BREAK(.address = PROBE_ALIAS + c->probe.patch,
					       .flags = SCRY_BREAKPOINT_VISIBLE);
	const uint64_t at = b.address;
	uint8_t before[PAGE], seen[PAGE];
	struct hits h = { 0 };
	int first, second;

	OK(c, scry_read_phys(c->vm, c->probe.patch, before, PAGE));
	DO(take_the_fast(c));
	first = plant(c, b);
	DO(first);
	second = plant(c, b);
	DO(second);
	DO(expect(c, at, &h, N, 1));
	CHECK(c, h.number == (uint32_t)first && h.rip == at, "of breakpoint %u, at %#llx", h.number,
	      (ull)h.rip);
	DO(expect(c, c->probe.patch, &h, 0, 1));	/* the same code, at another address */
	OK(c, scry_read_phys(c->vm, c->probe.patch, seen, PAGE));
	CHECK(c, memcmp(seen, before, PAGE) == 0, "the guest's memory is not as it was");
	OK(c, scry_breakpoint_remove(c->vm, first));
	DO(expect(c, at, &h, N, 1));
	CHECK(c, h.number == (uint32_t)second, "of breakpoint %u", h.number);
	OK(c, scry_breakpoint_remove(c->vm, second));
	return expect(c, at, &h, 0, 1);
}

/* The guest changes what is beside one, and then what is at it: mov to another register. */
static int patched(struct ctx *c)
{
	uint64_t at = PROBE_ALIAS + c->probe.patch;
	struct scry_regs regs = { .gpr[SCRY_REG_RAX] = 99 };
	struct hits h = { 0 };
	int number;

	DO(take_the_fast(c));
	number = plant(c, BREAK(.address = at, .flags = SCRY_BREAKPOINT_VISIBLE));
	DO(number);
	DO(patch(c, at + 3, 2));
	DO(expect(c, at, &h, N, 0x20001));
	DO(patch(c, at + 1, 7));
	DO(expect(c, at, &h, N, 0x20007));
	h.reply = (struct scry_reply){ .action = SCRY_SKIP, .set = SCRY_REG_BIT(SCRY_REG_RAX),
				       .regs = &regs };
	DO(expect(c, at, &h, N, 99));
	h.reply = (struct scry_reply){ 0 };
	DO(patch(c, at + 3, 0));
	DO(patch(c, at + 1, 1));
	DO(expect(c, at, &h, N, 1));
	OK(c, scry_breakpoint_remove(c->vm, number));
	return expect(c, at, &h, 0, 1);
}

/* With all that may lie on the same instruction and page. */
static int with_traps(struct ctx *c)
{
	uint64_t at = PROBE_ALIAS + c->probe.patch, gfn = c->probe.patch / PAGE;
	struct hits h = { 0 };
	int number;

	DO(take_the_fast(c));
	DO(plant(c, BREAK(.address = at, .flags = SCRY_BREAKPOINT_VISIBLE)));
	OK(c, scry_view_protect(c->vm, 0, gfn, 1, SCRY_WRITE));
	DO(expect(c, at, &h, N, 1));
	OK(c, scry_view_protect(c->vm, 0, gfn, 1, 0));
	DO(expect(c, at, &h, N, 1));
	DO(plant(c, BREAK(.address = at + 5)));	/* hidden, in the same page */
	DO(expect(c, at, &h, 2 * N, 1));
	number = subscribe(c, SUB(STEP, .step = { .count = 1000 }));
	DO(number);
	h.count = 0;
	DO(call_at(c, at, 1, &h));
	CHECK(c, h.count == 2 * N, "%llu hits while it steps", (ull)h.count);
	OK(c, scry_unsubscribe(c->vm, number));
	return expect(c, at, &h, 2 * N, 1);
}

/* Of the vCPU's #DB so far. */
static int debug_exceptions(struct ctx *c, uint64_t *count)
{
	struct probe_vcpu block;

	DO(guest_block(c, 0, &block));
	*count = block.exceptions[1];
	return 0;
}

/* N calls with so many hits for us, and so many #DB for the guest. */
static int both(struct ctx *c, uint64_t at, uint64_t hits, uint64_t exceptions)
{
	struct hits h = { 0 };
	uint64_t before, after;

	DO(debug_exceptions(c, &before));
	DO(call_at(c, at, 1, &h));
	DO(debug_exceptions(c, &after));
	CHECK(c, h.count == hits && after - before == exceptions,
	      "at %#llx %llu hits and %llu #DB, not %llu and %llu", (ull)at, (ull)h.count,
	      (ull)(after - before), (ull)hits, (ull)exceptions);
	return 0;
}

#define DR7_ENABLES_0 0x401

/* The guest debugs itself: its breakpoints are its own, and its registers as it left them. */
static int beside_guests(struct ctx *c)
{
	const uint64_t ours = c->probe.patch, its = c->probe.patch_inline;
	const uint64_t dr[8] = { its, 0x1230, 0x4560, 0x7890, [7] = DR7_ENABLES_0 };
	struct probe_op read;
	int first, second;

	for (unsigned i = 0; i < 8; i++)
		if (i < 4 || i == 7)
			DO(guest_do(c, 0, OP(DR_WRITE, .arg = i, .value = dr[i]), &read));
	first = plant(c, BREAK(.address = ours));
	DO(first);
	DO(both(c, ours, N, 0));
	DO(both(c, its, 0, N));
	second = plant(c, BREAK(.address = its));
	DO(second);
	DO(both(c, its, N, N));
	for (unsigned i = 0; i < 8; i++) {
		if (i > 3 && i < 7)
			continue;
		DO(guest_do(c, 0, OP(DR_READ, .arg = i), &read));
		CHECK(c, read.out[0] == dr[i], "the guest reads DR%u as %#llx, not %#llx", i,
		      (ull)read.out[0], (ull)dr[i]);
	}
	OK(c, scry_breakpoint_remove(c->vm, first));
	OK(c, scry_breakpoint_remove(c->vm, second));
	DO(both(c, ours, 0, 0));
	return both(c, its, 0, N);
}

#define NEEDS { SCRY_CAP_EVENT_BREAKPOINT }

const struct test tests_break_kernel[] = {
	{ "break-alone", alone, { SCRY_CAP_EVENT_BREAKPOINT, SCRY_CAP_EVENT_IO } },
	{ "break-beside-guests", beside_guests, NEEDS },
	{ "break-visible", visible, NEEDS },
	{ "break-visible-patched", patched, NEEDS },
	{ "break-visible-traps", with_traps,
	  { SCRY_CAP_EVENT_BREAKPOINT, SCRY_CAP_EVENT_STEP, SCRY_CAP_VIEWS } },
	{ 0 },
};
