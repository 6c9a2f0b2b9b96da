/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Accesses that a view traps: each told once, before it takes place. */
#include <string.h>

#include "conformance.h"

typedef unsigned long long ull;

#define N    50
#define PAGE 4096u

/* What came, and what is to be answered. */
struct seen {
	uint64_t count, reads, writes, execs, walks;
	uint32_t size;			/* of the last that was no fetch */
	uint64_t gpa, gva;
	enum scry_action action;
	uint64_t first_value;		/* of the watched memory at the first event */
	uint64_t look;			/* where that is */
};

static int note(struct pump *p, const struct scry_event *e, struct scry_reply *reply)
{
	struct seen *s = p->opaque;
	struct ctx *c = p->c;

	CHECK(c, e->kind == SCRY_EVENT_MEMORY, "an event of kind %u", e->kind);
	if (!s->count && s->look)
		OK(c, scry_read_phys(c->vm, s->look, &s->first_value, 8));
	s->count++;
	s->reads += !!(e->memory.access & SCRY_READ);
	s->writes += !!(e->memory.access & SCRY_WRITE);
	s->execs += !!(e->memory.access & SCRY_EXEC);
	s->walks += e->memory.walk;
	s->size = e->memory.size;
	s->gpa = e->memory.gpa;
	s->gva = e->memory.gva;
	reply->action = s->action;
	return 0;
}

/* Run one operation on all vCPUs of the mask, N times, and see what is told of. */
static int run(struct ctx *c, struct probe_op op, uint64_t vcpus, struct seen *s)
{
	struct pump p = { .c = c, .answer = note, .opaque = s };

	for (unsigned i = 0; i < c->vcpus; i++)
		if (vcpus >> i & 1)
			DO(guest_start(c, i, &op, 1, N));
	DO(pump_run(&p, vcpus));
	return 0;
}

static int one(struct ctx *c, struct probe_op op, struct seen *s, struct probe_op *result)
{
	struct probe_vcpu block;

	DO(run(c, op, 1, s));
	DO(guest_block(c, 0, &block));
	*result = block.op[0];
	return 0;
}

static int trap(struct ctx *c, uint64_t gpa, uint64_t pages, uint32_t access)
{
	OK(c, scry_view_protect(c->vm, 0, gpa >> 12, pages, access));
	return 0;
}

static int writes(struct ctx *c)
{
	static const uint32_t sizes[] = { 1, 2, 4, 8 };
	uint64_t gpa = c->probe.scratch;
	struct probe_op result;

	DO(subscribe(c, SUB(MEMORY)));
	DO(trap(c, gpa, 1, SCRY_WRITE));
	for (unsigned i = 0; i < 4; i++) {
		struct seen s = { .look = gpa + 16 };
		uint64_t value;

		OK(c, scry_write_phys(c->vm, gpa + 16, &(uint64_t){ 0 }, 8));
		DO(one(c, OP(WRITE, .arg = gpa + 16, .value = 0x77, .size = sizes[i]), &s, &result));
		CHECK(c, s.count == N && s.writes == N && !s.reads, "%u bytes: %llu events, %llu "
		      "writes, %llu reads", sizes[i], (ull)s.count, (ull)s.writes, (ull)s.reads);
		CHECK(c, s.gpa == gpa + 16 && s.gva == gpa + 16 && s.size == sizes[i],
		      "gpa %#llx, gva %#llx, %u bytes", (ull)s.gpa, (ull)s.gva, s.size);
		CHECK(c, s.first_value == 0, "told of after the write");
		OK(c, scry_read_phys(c->vm, gpa + 16, &value, 8));
		CHECK(c, value == 0x77 && result.count == N, "value %#llx", (ull)value);
	}
	return 0;
}

/* What is not trapped is not told of; and what is, only if it is wanted. */
static int others(struct ctx *c)
{
	uint64_t gpa = c->probe.scratch;
	struct seen s = { 0 };
	struct probe_op result;
	int number;

	number = subscribe(c, SUB(MEMORY, .memory = { .use_range = 1, .first = gpa + 8,
						      .last = gpa + 15 }));
	DO(number);
	DO(trap(c, gpa, 1, SCRY_WRITE));
	DO(one(c, OP(READ, .arg = gpa + 8, .size = 8), &s, &result));
	DO(one(c, OP(WRITE, .arg = gpa + 16, .size = 8), &s, &result));
	DO(one(c, OP(WRITE, .arg = gpa, .size = 8), &s, &result));
	DO(one(c, OP(WRITE, .arg = gpa + PAGE + 8, .size = 8), &s, &result));
	CHECK(c, s.count == 0, "%llu events out of the range", (ull)s.count);
	DO(one(c, OP(WRITE, .arg = gpa + 4, .size = 8), &s, &result));
	DO(one(c, OP(WRITE, .arg = gpa + 15, .size = 2), &s, &result));
	CHECK(c, s.count == 2 * N, "%llu events in the range, not %u", (ull)s.count, 2 * N);
	DO(trap(c, gpa, 1, 0));
	DO(one(c, OP(WRITE, .arg = gpa + 8, .size = 8), &s, &result));
	CHECK(c, s.count == 2 * N, "an event when nothing is trapped any more");
	DO(trap(c, gpa, 1, SCRY_WRITE));
	OK(c, scry_unsubscribe(c->vm, number));
	DO(pump_drain(c));
	DO(one(c, OP(WRITE, .arg = gpa + 8, .size = 8), &s, &result));
	CHECK(c, s.count == 2 * N && result.count == N, "an event without a subscription");
	return 0;
}

static int reads(struct ctx *c)
{
	uint64_t gpa = c->probe.scratch;
	struct seen s = { 0 };
	struct probe_op result;

	OK(c, scry_write_phys(c->vm, gpa + 8, &(uint64_t){ 42 }, 8));
	DO(subscribe(c, SUB(MEMORY)));
	DO(trap(c, gpa, 1, SCRY_READ));
	DO(one(c, OP(READ, .arg = gpa + 8, .size = 4, .flags = PROBE_CHECK, .expect = 42), &s,
	       &result));
	CHECK(c, s.count == N && s.reads == N && s.size == 4 && !result.mismatches,
	      "%llu events, %llu reads", (ull)s.count, (ull)s.reads);
	DO(one(c, OP(WRITE, .arg = gpa + 8, .value = 1, .size = 8), &s, &result));
	CHECK(c, s.count == N && result.count == N, "a write was told of as a read");
	return 0;
}

/*
 * Of so many instructions, each with that many trapped accesses: some hypervisors tell
 * of the first alone.
 */
static bool all_told(struct ctx *c, uint64_t count, uint64_t instructions, uint64_t accesses)
{
	if (count == instructions * accesses)
		return true;
	return !whole(c, SCRY_CAP_EVENT_MEMORY) && accesses && count == instructions;
}

/* At every place in which an access of 8 bytes crosses from one page to the next. */
static int crossing(struct ctx *c)
{
	static const uint32_t traps[][2] = { { SCRY_WRITE, SCRY_WRITE }, { SCRY_WRITE, 0 },
					     { 0, SCRY_WRITE }, { SCRY_READ, SCRY_READ },
					     { SCRY_READ, 0 }, { 0, SCRY_READ } };
	uint64_t gpa = c->probe.scratch;

	DO(subscribe(c, SUB(MEMORY)));
	for (unsigned t = 0; t < 6; t++) {
		bool write = (traps[t][0] | traps[t][1]) == SCRY_WRITE;
		uint64_t pages = !!traps[t][0] + !!traps[t][1];

		DO(trap(c, gpa, 1, traps[t][0]));
		DO(trap(c, gpa + PAGE, 1, traps[t][1]));
		for (unsigned before = 0; before <= 8; before++) {
			uint64_t at = gpa + PAGE - before, wanted = pages;
			struct seen s = { 0 };
			struct probe_op op = OP(READ, .arg = at, .size = 8), result;

			if (write)
				op.code = PROBE_OP_WRITE;
			if (before == 0)
				wanted = !!traps[t][1];
			if (before == 8)
				wanted = !!traps[t][0];
			DO(one(c, op, &s, &result));
			CHECK(c, all_told(c, s.count, N, wanted) && result.count == N, "%s with %u bytes "
			      "before the border, case %u: %llu events, not %llu", write ? "write" :
			      "read", before, t, (ull)s.count, (ull)wanted * N);
		}
	}
	return 0;
}

static int check_sum(struct ctx *c, uint64_t at)
{
	uint64_t value, count = 0, faults = 0, found = 0;
	struct probe_vcpu block;

	OK(c, scry_read_phys(c->vm, at, &value, 8));
	for (unsigned i = 0; i < c->vcpus; i++) {
		DO(guest_block(c, i, &block));
		count += block.op[0].count;
		faults += block.op[0].faults;
		found = block.op[0].out[0] > found ? block.op[0].out[0] : found;
	}
	CHECK(c, value == 3 * N * c->vcpus, "the sum at %#llx is %llu; %llu additions were done, %llu "
	      "faulted, and the last found %llu", (ull)at, (ull)value, (ull)count, (ull)faults,
	      (ull)found);
	return 0;
}

/* LOCK XADD by all vCPUs at once, aligned and across a border; the sum shows what was lost. */
static int locked(struct ctx *c)
{
	static const uint32_t traps[] = { SCRY_WRITE, SCRY_READ, SCRY_READ | SCRY_WRITE };
	uint64_t gpa = c->probe.scratch, all = (UINT64_C(1) << c->vcpus) - 1;

	DO(subscribe(c, SUB(MEMORY)));
	for (unsigned t = 0; t < 3; t++) {
		for (unsigned before = 0; before <= 8; before += 4) {
			uint64_t at = gpa + PAGE - before, pages = before == 4 ? 2 : 1;
			uint64_t wanted = pages * N * c->vcpus;
			struct seen s = { 0 };

			DO(trap(c, gpa, 2, traps[t]));
			OK(c, scry_write_phys(c->vm, at, &(uint64_t){ 0 }, 8));
			DO(run(c, OP(XADD, .arg = at, .value = 3), all, &s));
			DO(check_sum(c, at));
			/* One that both reads and writes may be told of as two, or as the first alone. */
			CHECK(c, (s.count == wanted && s.reads == wanted && s.writes == wanted) ||
			      (!whole(c, SCRY_CAP_EVENT_MEMORY) && s.count >= N * c->vcpus &&
			       s.count <= 2 * wanted), "trap %u, %u bytes before the border: %llu events, "
			      "%llu reads, %llu writes, not %llu", traps[t], before, (ull)s.count,
			      (ull)s.reads, (ull)s.writes, (ull)wanted);
		}
	}
	return 0;
}

/* Each instruction of the function is fetched once a call: mov, ret. */
static int fetches(struct ctx *c)
{
	uint64_t all = (UINT64_C(1) << c->vcpus) - 1;
	struct seen s = { 0 };
	struct probe_vcpu block;

	DO(subscribe(c, SUB(MEMORY)));
	DO(trap(c, c->probe.patch, 1, SCRY_EXEC));
	DO(run(c, OP(EXEC, .arg = c->probe.patch, .flags = PROBE_CHECK, .expect = 1), all, &s));
	CHECK(c, s.count == 2 * N * c->vcpus && s.execs == s.count, "%llu events, not %llu",
	      (ull)s.count, (ull)(2 * N * c->vcpus));
	for (unsigned i = 0; i < c->vcpus; i++) {
		DO(guest_block(c, i, &block));
		CHECK(c, block.op[0].count == N && !block.op[0].mismatches, "the guest did %llu",
		      (ull)block.op[0].count);
	}
	DO(trap(c, c->probe.patch, 1, 0));
	DO(run(c, OP(EXEC, .arg = c->probe.patch), all, &s));
	CHECK(c, s.count == 2 * N * c->vcpus, "an event when nothing is trapped any more");
	return 0;
}

/* Of a part of a page that is executed all along: its second instruction, a byte of its first. */
static int fetch_range(struct ctx *c)
{
	const struct {
		uint64_t at, gpa;
		uint32_t size;
	} parts[] = {
		{ c->probe.patch + 5, c->probe.patch + 5, 1 }, { c->probe.patch + 2, c->probe.patch, 5 },
	};
	const struct probe_op op = OP(EXEC, .arg = c->probe.patch, .flags = PROBE_CHECK, .expect = 1);
	uint64_t all = (UINT64_C(1) << c->vcpus) - 1;
	int number;

	for (unsigned i = 0; i < 2; i++) {
		struct seen s = { 0 };

		DO(run(c, op, all, &s));	/* untrapped, so that the code is known */
		number = subscribe(c, SUB(MEMORY, .memory = { .use_range = 1, .first = parts[i].at,
							      .last = parts[i].at }));
		DO(number);
		DO(trap(c, c->probe.patch, 1, SCRY_EXEC));
		DO(run(c, op, all, &s));
		CHECK(c, s.count == N * c->vcpus && s.gpa == parts[i].gpa && s.size == parts[i].size,
		      "part %u: %llu events, not %llu; %u bytes at %#llx", i, (ull)s.count,
		      (ull)(N * c->vcpus), s.size, (ull)s.gpa);
		OK(c, scry_unsubscribe(c->vm, number));
		DO(trap(c, c->probe.patch, 1, 0));
	}
	return 0;
}

/* An instruction across a border, of which each page is trapped in turn. */
static int fetch_crossing(struct ctx *c)
{
	static const uint8_t code[] = { 0xb8, 0x01, 0x00, 0x00, 0x00, 0xc3 };
	uint64_t gpa = c->probe.scratch, at = gpa + PAGE - 2;

	OK(c, scry_write_phys(c->vm, at, code, sizeof(code)));
	DO(subscribe(c, SUB(MEMORY)));
	for (unsigned i = 0; i < 3; i++) {
		struct seen s = { 0 };
		struct probe_op result;
		/* First page: mov.  Second: mov, ret.  Some tell of mov once if both are trapped. */
		uint64_t wanted = (i != 1) + 2 * (i != 0), least = 1 + (i != 0);

		DO(trap(c, gpa, 1, i != 1 ? SCRY_EXEC : 0));
		DO(trap(c, gpa + PAGE, 1, i != 0 ? SCRY_EXEC : 0));
		DO(one(c, OP(EXEC, .arg = at, .flags = PROBE_CHECK, .expect = 1), &s, &result));
		CHECK(c, s.count == wanted * N ||
		      (!whole(c, SCRY_CAP_EVENT_MEMORY) && s.count == least * N),
		      "case %u: %llu events, not %llu", i, (ull)s.count, (ull)wanted * N);
		CHECK(c, result.count == N && !result.mismatches, "case %u: the guest did %llu", i,
		      (ull)result.count);
	}
	return 0;
}

static int skipped_and_denied(struct ctx *c)
{
	uint64_t gpa = c->probe.scratch, value;
	struct seen s = { .action = SCRY_SKIP };
	struct probe_op result;
	struct probe_vcpu block;

	OK(c, scry_write_phys(c->vm, gpa, &(uint64_t){ 5 }, 8));
	DO(subscribe(c, SUB(MEMORY)));
	DO(trap(c, gpa, 1, SCRY_WRITE));
	DO(one(c, OP(WRITE, .arg = gpa, .value = 9, .size = 8), &s, &result));
	OK(c, scry_read_phys(c->vm, gpa, &value, 8));
	CHECK(c, value == 5 && s.count == N && result.count == N, "value %llu, %llu events",
	      (ull)value, (ull)s.count);
	s = (struct seen){ .action = SCRY_DENY };
	DO(one(c, OP(WRITE, .arg = gpa, .value = 9, .size = 8), &s, &result));
	OK(c, scry_read_phys(c->vm, gpa, &value, 8));
	DO(guest_block(c, 0, &block));
	CHECK(c, value == 5 && result.faults == N && block.exceptions[13] == N,
	      "value %llu, %llu faults", (ull)value, (ull)result.faults);
	return 0;
}

/* Another register in the reply: the instruction begins again, with it. */
static int other_value(struct pump *p, const struct scry_event *e, struct scry_reply *reply)
{
	p->regs.gpr[SCRY_REG_RAX] = e->gpr[SCRY_REG_RAX];
	for (int i = 0; i < 16; i++)
		p->regs.gpr[i] = e->gpr[i] == 0x1234567 ? 0x7654321 : e->gpr[i];
	reply->set = SCRY_REGS_GPR;
	reply->regs = &p->regs;
	return 0;
}

static int registers(struct ctx *c)
{
	uint64_t gpa = c->probe.scratch, value;
	struct pump p = { .c = c, .answer = other_value };
	struct probe_op op = OP(WRITE, .arg = gpa, .value = 0x1234567, .size = 8);

	DO(subscribe(c, SUB(MEMORY)));
	DO(trap(c, gpa, 1, SCRY_WRITE));
	DO(guest_start(c, 0, &op, 1, N));
	DO(pump_run(&p, 1));
	OK(c, scry_read_phys(c->vm, gpa, &value, 8));
	CHECK(c, value == 0x7654321 && p.total == N, "value %#llx, %llu events", (ull)value,
	      (ull)p.total);
	return 0;
}

/* The page walker's reads of a page table. */
static int walker(struct ctx *c)
{
	struct probe_op list[] = { OP(INVLPG, .value = c->probe.scratch),
				   OP(READ, .arg = c->probe.scratch, .size = 8) };
	struct seen s = { 0 };
	struct pump p = { .c = c, .answer = note, .opaque = &s };

	DO(subscribe(c, SUB(MEMORY)));
	DO(trap(c, c->probe.cr3[0], 1, SCRY_READ));
	DO(guest_start(c, 0, list, 2, N));
	DO(pump_run(&p, 1));
	CHECK(c, s.walks >= N && s.walks == s.reads, "%llu walks, %llu events", (ull)s.walks,
	      (ull)s.count);
	CHECK(c, s.gpa >> 12 == c->probe.cr3[0] >> 12, "an entry at %#llx", (ull)s.gpa);
	DO(trap(c, c->probe.cr3[0], 1, 0));
	DO(pump_drain(c));
	return guest_moves(c, 0);
}

/* Everything, by a client that lets it pass here, while the guest works. */
static int all_writes(struct ctx *c)
{
	struct seen s = { 0 };
	uint64_t all = (UINT64_C(1) << c->vcpus) - 1;
	struct probe_vcpu block;

	DO(subscribe(c, SUB(MEMORY, .memory = { .use_range = 1, .first = c->probe.scratch,
						.last = c->probe.scratch + 7 })));
	OK(c, scry_view_protect(c->vm, 0, 0, UINT64_C(1) << 40, SCRY_WRITE));
	DO(run(c, OP(CHECKSUM, .value = 1000, .flags = PROBE_CHECK, .expect = probe_checksum(1000)),
	       all, &s));
	for (unsigned i = 0; i < c->vcpus; i++) {
		DO(guest_block(c, i, &block));
		CHECK(c, block.op[0].count == N && !block.op[0].mismatches, "a wrong sum");
	}
	DO(run(c, OP(WRITE, .arg = c->probe.scratch, .size = 8), all, &s));
	CHECK(c, s.count == N * c->vcpus, "%llu events", (ull)s.count);
	return 0;
}

static int refusals(struct ctx *c)
{
	REFUSED(c, scry_view_protect(c->vm, 0, 0, 0, SCRY_WRITE), SCRY_E_INVAL);
	REFUSED(c, scry_view_protect(c->vm, 0, 1, UINT64_C(1) << 40, SCRY_WRITE), SCRY_E_INVAL);
	REFUSED(c, scry_view_protect(c->vm, 0, UINT64_MAX, 2, SCRY_WRITE), SCRY_E_INVAL);
	REFUSED(c, scry_view_protect(c->vm, 0, 0, 1, 8), SCRY_E_INVAL);
	if (scry_cap(c->vm, SCRY_CAP_VIEWS, NULL)) {
		REFUSED(c, scry_view_protect(c->vm, 1, 0, 1, SCRY_WRITE), SCRY_E_NOTFOUND);
		REFUSED(c, scry_view_protect(c->vm, 64, 0, 1, SCRY_WRITE), SCRY_E_NOTFOUND);
	}
	REFUSED(c, scry_subscribe(c->vm, &SUB(MEMORY, .memory.access = 8)), SCRY_E_INVAL);
	REFUSED(c, scry_subscribe(c->vm, &SUB(MEMORY, .memory = { .use_range = 1, .first = 2,
								  .last = 1 })), SCRY_E_INVAL);
	return 0;
}

#define NEEDS { SCRY_CAP_EVENT_MEMORY }

const struct test tests_memory_events[] = {
	{ "mem-writes", writes, NEEDS },
	{ "mem-reads", reads, NEEDS },
	{ "mem-filter", others, NEEDS },
	{ "mem-crossing", crossing, NEEDS },
	{ "mem-locked", locked, NEEDS },
	{ "mem-fetches", fetches, NEEDS },
	{ "mem-fetch-range", fetch_range, NEEDS },
	{ "mem-fetch-crossing", fetch_crossing, NEEDS },
	{ "mem-skip-deny", skipped_and_denied, NEEDS },
	{ "mem-registers", registers, NEEDS },
	{ "mem-walker", walker, NEEDS },
	{ "mem-all-writes", all_writes, NEEDS },
	{ "mem-refusals", refusals, NEEDS },
	{ 0 }
};
