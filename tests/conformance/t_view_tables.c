/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Page tables and code that a view traps, or has others in the place of. */
#include <string.h>

#include "conformance.h"

typedef unsigned long long ull;

#define N       20
#define PAGE    4096u
#define ENTRY   300u		/* of the root, which the probe does not use */
#define GVA     (UINT64_C(0xffff000000000000) | (uint64_t)ENTRY << 39)
#define PWU     7u		/* present, for writing and for CPL 3 */
#define PRESENT 1u
#define USER    4u
#define ACCESSED 32u
#define DIRTY   64u

/* Of a page's own: three tables, and another last one, with another page. */
struct tables {
	uint64_t page, pdpt, pd, pt, other_pt, other_page;
};

static int make(struct ctx *c, struct tables *t)
{
	uint64_t at = c->probe.scratch;
	const struct {
		uint64_t gpa, value;
	} words[] = {
		{ at, 1 }, { at + PAGE, (at + 2 * PAGE) | PWU }, { at + 2 * PAGE, (at + 3 * PAGE) | PWU },
		{ at + 3 * PAGE, at | PWU }, { at + 4 * PAGE, (at + 5 * PAGE) | PWU },
		{ at + 5 * PAGE, 2 }, { c->probe.cr3[0] + ENTRY * 8, (at + PAGE) | PWU },
	};

	*t = (struct tables){ .page = at, .pdpt = at + PAGE, .pd = at + 2 * PAGE, .pt = at + 3 * PAGE,
			      .other_pt = at + 4 * PAGE, .other_page = at + 5 * PAGE };
	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		OK(c, scry_write_phys(c->vm, words[i].gpa, &words[i].value, 8));
	return 0;
}

struct seen {
	uint64_t walks, walked;		/* how many, and the last entry */
	uint64_t reads, gpa, value;	/* what no walker read; there, at the last of them */
	uint64_t execs, wrong;		/* ... of no instruction of these lengths */
	uint32_t len[2];
};

static int note(struct pump *p, const struct scry_event *e, struct scry_reply *reply)
{
	struct seen *s = p->opaque;
	struct ctx *c = p->c;

	(void)reply;
	CHECK(c, e->kind == SCRY_EVENT_MEMORY, "an event of kind %u", e->kind);
	if (e->memory.access & SCRY_EXEC) {
		s->wrong += e->insn_len && e->insn_len != s->len[s->execs & 1];
		s->execs++;
	} else if (e->memory.walk) {
		s->walks++;
		s->walked = e->memory.gpa;
	} else {
		s->reads++;
		s->gpa = e->memory.gpa;
		OK(c, scry_read_phys(c->vm, e->memory.gpa, &s->value, 8));
	}
	return 0;
}

static int read_often(struct ctx *c, struct seen *s, uint64_t value)
{
	const struct probe_op list[] = {
		OP(INVLPG, .value = GVA),
		OP(READ, .arg = GVA, .size = 8, .flags = PROBE_CHECK, .expect = value),
	};
	struct pump p = { .c = c, .answer = note, .opaque = s };
	struct probe_vcpu block;

	DO(guest_start(c, 0, list, 2, N));
	DO(pump_run(&p, 1));
	DO(guest_block(c, 0, &block));
	CHECK(c, block.op[1].count == N && !block.op[1].mismatches, "the guest read %llu, %llu times",
	      (ull)block.op[1].out[0], (ull)block.op[1].count);
	return 0;
}

/* What is read below a table whose reads are trapped, too, is told of. */
static int below(struct ctx *c)
{
	struct seen s = { 0 };
	struct tables t;

	DO(make(c, &t));
	DO(subscribe(c, SUB(MEMORY)));
	OK(c, scry_view_protect(c->vm, 0, t.pt >> 12, 1, SCRY_READ));
	OK(c, scry_view_protect(c->vm, 0, t.page >> 12, 1, SCRY_READ));
	DO(read_often(c, &s, 1));
	CHECK(c, s.walks && s.walked == t.pt, "%llu walks, the last at %#llx", (ull)s.walks,
	      (ull)s.walked);
	/* Some hypervisors tell of an instruction's first access alone. */
	CHECK(c, s.reads == N || (!whole(c, SCRY_CAP_EVENT_MEMORY) && s.reads + s.walks >= N),
	      "%llu reads", (ull)s.reads);
	CHECK(c, !s.reads || (s.gpa == t.page && s.value == 1), "a read at %#llx", (ull)s.gpa);
	return 0;
}

/* Another table in a table's place: what is read is what that one leads to. */
static int other_table(struct ctx *c)
{
	int view = scry_view_create(c->vm, 0);
	struct seen s = { 0 };
	struct tables t;

	OK(c, view);
	DO(make(c, &t));
	DO(subscribe(c, SUB(MEMORY)));
	OK(c, scry_view_remap(c->vm, (unsigned)view, t.pt >> 12, t.other_pt >> 12));
	OK(c, scry_view_protect(c->vm, (unsigned)view, t.other_page >> 12, 1, SCRY_READ));
	DO(read_often(c, &s, 1));
	CHECK(c, !s.reads, "%llu events in view 0", (ull)s.reads);
	OK(c, scry_view_switch(c->vm, 0, (unsigned)view));
	DO(read_often(c, &s, 2));
	CHECK(c, s.reads == N && s.gpa == t.other_page && s.value == 2, "%llu reads, at %#llx",
	      (ull)s.reads, (ull)s.gpa);
	return 0;
}

/* Other code in a page's place: an event's instruction is of that. */
static int other_code(struct ctx *c)
{
	static const uint8_t longer[] = { 0x48, 0xc7, 0xc0, 7, 0, 0, 0, 0xc3 };	/* mov $7,%rax; ret */
	const struct probe_op op = OP(EXEC, .arg = c->probe.patch, .flags = PROBE_CHECK, .expect = 7);
	struct seen s = { .len = { 7, 1 } };
	struct pump p = { .c = c, .answer = note, .opaque = &s };
	int view = scry_view_create(c->vm, 0);
	struct probe_vcpu block;

	OK(c, view);
	DO(subscribe(c, SUB(MEMORY)));
	OK(c, scry_write_phys(c->vm, c->probe.scratch, longer, sizeof(longer)));
	OK(c, scry_view_remap(c->vm, (unsigned)view, c->probe.patch >> 12, c->probe.scratch >> 12));
	OK(c, scry_view_protect(c->vm, (unsigned)view, c->probe.patch >> 12, 1, SCRY_EXEC));
	OK(c, scry_view_switch(c->vm, 0, (unsigned)view));
	DO(guest_start(c, 0, &op, 1, N));
	DO(pump_run(&p, 1));
	DO(guest_block(c, 0, &block));
	CHECK(c, block.op[0].count == N && !block.op[0].mismatches, "the guest got %llu",
	      (ull)block.op[0].out[0]);
	CHECK(c, s.execs == 2 * N && !s.wrong, "%llu fetches, %llu of a wrong length", (ull)s.execs,
	      (ull)s.wrong);
	return 0;
}

static int check_bits(struct ctx *c, uint64_t gpa, uint64_t set)
{
	uint64_t entry;

	OK(c, scry_read_phys(c->vm, gpa, &entry, 8));
	CHECK(c, (entry & (ACCESSED | DIRTY)) == set, "the entry at %#llx is %#llx", (ull)gpa, (ull)entry);
	return 0;
}

/* The page itself is trapped, and its tables have none of the bits that the processor sets. */
static int bits(struct ctx *c)
{
	const struct probe_op list[] = {
		OP(INVLPG, .value = GVA), OP(READ, .arg = GVA, .size = 8),
		OP(INVLPG, .value = GVA), OP(WRITE, .arg = GVA, .value = 3, .size = 8),
	};
	struct probe_vcpu block;
	struct tables t;

	for (unsigned last = 2; last <= 4; last += 2) {
		DO(make(c, &t));
		OK(c, scry_view_protect(c->vm, 0, t.page >> 12, 1, SCRY_READ | SCRY_WRITE));
		DO(guest_run(c, 0, list, last, 1, &block));
		CHECK(c, block.op[1].out[0] == 1, "the guest read %#llx", (ull)block.op[1].out[0]);
		DO(check_bits(c, c->probe.cr3[0] + ENTRY * 8, ACCESSED));
		DO(check_bits(c, t.pdpt, ACCESSED));
		DO(check_bits(c, t.pd, ACCESSED));
		DO(check_bits(c, t.pt, last == 2 ? ACCESSED : ACCESSED | DIRTY));
	}
	return 0;
}

/* What the guest's own tables forbid is the guest's page fault, and no access. */
static int rights(struct ctx *c)
{
	const struct {
		uint64_t pte;
		struct probe_op op;
	} cases[] = {
		{ PRESENT | USER,
		  OP(WRITE, .arg = GVA, .value = 9, .size = 8, .flags = PROBE_USER) },
		{ PRESENT, OP(READ, .arg = GVA, .size = 8, .flags = PROBE_USER) },
		{ 0, OP(READ, .arg = GVA, .size = 8) },
	};
	struct tables t;

	DO(make(c, &t));
	DO(subscribe(c, SUB(MEMORY)));
	OK(c, scry_view_protect(c->vm, 0, t.page >> 12, 1, SCRY_READ | SCRY_WRITE));
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct seen s = { 0 };
		struct pump p = { .c = c, .answer = note, .opaque = &s };
		struct probe_op list[] = { OP(INVLPG, .value = GVA), cases[i].op };
		struct probe_vcpu block;
		uint64_t value = t.page | cases[i].pte | ACCESSED | DIRTY;

		OK(c, scry_write_phys(c->vm, t.pt, &value, 8));
		DO(guest_start(c, 0, list, 2, N));
		DO(pump_run(&p, 1));
		DO(guest_block(c, 0, &block));
		OK(c, scry_read_phys(c->vm, t.page, &value, 8));
		CHECK(c, block.op[1].faults == N && !p.total && value == 1, "case %u: %llu faults, "
		      "%llu events, %#llx in the page", i, (ull)block.op[1].faults, (ull)p.total,
		      (ull)value);
	}
	return 0;
}

#define NEEDS { SCRY_CAP_VIEWS, SCRY_CAP_EVENT_MEMORY }

const struct test tests_view_tables[] = {
	{ "view-below-table", below, NEEDS },
	{ "view-table", other_table, NEEDS },
	{ "view-code-length", other_code, NEEDS },
	{ "view-bits", bits, NEEDS },
	{ "view-rights", rights, NEEDS },
	{ 0 }
};
