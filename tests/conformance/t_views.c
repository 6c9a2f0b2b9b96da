/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Views: what each traps and maps, and how vCPUs go from one to another. */
#include <string.h>

#include "conformance.h"

typedef unsigned long long ull;

#define N    50
#define PAGE 4096u

#define INT3 0xcc

static int new_view(struct ctx *c, unsigned like)
{
	int view = scry_view_create(c->vm, like);

	OK(c, view);
	CHECK(c, view > 0 && view < SCRY_VIEWS, "the new view is %d", view);
	return view;
}

static int read_word(struct ctx *c, uint64_t gpa, uint64_t *value)
{
	struct probe_op result;

	DO(guest_do(c, 0, OP(READ, .arg = gpa, .size = 8), &result));
	*value = result.out[0];
	return 0;
}

/* A frame in another's place: read, written and executed there, and in that view only. */
static int remapped(struct ctx *c)
{
	uint64_t here = c->probe.scratch, there = here + PAGE, value;
	struct probe_op result;
	int view = new_view(c, 0);

	DO(view);
	OK(c, scry_write_phys(c->vm, here, &(uint64_t){ 1 }, 8));
	OK(c, scry_write_phys(c->vm, there, &(uint64_t){ 2 }, 8));
	OK(c, scry_view_remap(c->vm, (unsigned)view, here >> 12, there >> 12));
	DO(read_word(c, here, &value));
	CHECK(c, value == 1, "view 0 is changed: %llu", (ull)value);
	OK(c, scry_view_switch(c->vm, 0, (unsigned)view));
	DO(read_word(c, here, &value));
	CHECK(c, value == 2, "in the view: %llu", (ull)value);
	DO(guest_do(c, 0, OP(WRITE, .arg = here, .value = 3, .size = 8), &result));
	OK(c, scry_read_phys(c->vm, there, &value, 8));
	CHECK(c, value == 3, "the write went elsewhere: %llu", (ull)value);
	OK(c, scry_view_remap(c->vm, (unsigned)view, here >> 12, here >> 12));
	DO(read_word(c, here, &value));
	CHECK(c, value == 1, "the remap is not undone: %llu", (ull)value);
	OK(c, scry_view_remap(c->vm, (unsigned)view, here >> 12, there >> 12));
	OK(c, scry_view_destroy(c->vm, (unsigned)view));
	DO(read_word(c, here, &value));
	CHECK(c, value == 1, "the view is not gone: %llu", (ull)value);
	REFUSED(c, scry_view_switch(c->vm, 0, (unsigned)view), SCRY_E_NOTFOUND);
	return 0;
}

/* The guest executes one copy of its code, and reads the other. */
static int code(struct ctx *c)
{
	uint64_t from = c->probe.patch_inline, copy = c->probe.scratch;
	uint8_t page[PAGE];
	struct probe_op result;
	int view = new_view(c, 0);

	DO(view);
	OK(c, scry_read_phys(c->vm, from, page, PAGE));
	page[c->probe.patch_imm] = 7;
	OK(c, scry_write_phys(c->vm, copy, page, PAGE));
	OK(c, scry_view_remap(c->vm, (unsigned)view, from >> 12, copy >> 12));
	for (unsigned i = 0; i < 3; i++) {
		DO(guest_do(c, 0, OP(EXEC, .arg = from), &result));
		CHECK(c, result.out[0] == 1, "view 0 gave %llu", (ull)result.out[0]);
		OK(c, scry_view_switch(c->vm, 0, (unsigned)view));
		DO(guest_do(c, 0, OP(EXEC, .arg = from), &result));
		CHECK(c, result.out[0] == 7, "the view gave %llu", (ull)result.out[0]);
		OK(c, scry_view_switch(c->vm, 0, 0));
	}
	return 0;
}

/* Each vCPU in a view of its own. */
static int per_vcpu(struct ctx *c)
{
	uint64_t here = c->probe.scratch;
	struct probe_op result;
	unsigned view[PROBE_VCPUS];

	for (unsigned i = 0; i < c->vcpus; i++) {
		int n = new_view(c, 0);

		DO(n);
		view[i] = (unsigned)n;
		OK(c, scry_write_phys(c->vm, here + (i + 1) * PAGE, &(uint64_t){ 100 + i }, 8));
		OK(c, scry_view_remap(c->vm, view[i], here >> 12, (here >> 12) + i + 1));
		OK(c, scry_view_switch(c->vm, i, view[i]));
	}
	for (unsigned i = 0; i < c->vcpus; i++) {
		DO(guest_do(c, i, OP(READ, .arg = here, .size = 8), &result));
		CHECK(c, result.out[0] == 100 + i, "vCPU %u reads %llu", i, (ull)result.out[0]);
	}
	return 0;
}

struct switching {
	unsigned view, flags;
	uint64_t count, in_view[SCRY_VIEWS];
};

static int answer_switch(struct pump *p, const struct scry_event *e, struct scry_reply *reply)
{
	struct switching *s = p->opaque;

	s->count++;
	s->in_view[e->view]++;
	reply->flags = s->flags;
	reply->view = s->view;
	return 0;
}

/* All vCPUs do it, trapped, and are answered so, with another view. */
static int run_switching(struct ctx *c, struct probe_op op, struct switching *s)
{
	struct pump p = { .c = c, .answer = answer_switch, .opaque = s };
	int view = new_view(c, 0);

	DO(view);
	s->view = (unsigned)view;
	DO(subscribe(c, SUB(MEMORY)));
	OK(c, scry_view_protect(c->vm, 0, c->probe.scratch >> 12, 1, SCRY_WRITE));
	DO(guest_start_all(c, &op, 1, N));
	return pump_run(&p, ALL_VCPUS);
}

/* A trapped write is answered by a view in which it is not. */
static int in_reply(struct ctx *c)
{
	struct switching s = { .flags = SCRY_REPLY_VIEW };
	uint64_t value;

	DO(run_switching(c, OP(WRITE, .arg = c->probe.scratch, .value = 6, .size = 8), &s));
	CHECK(c, s.count == c->vcpus && s.in_view[0] == s.count, "%llu events", (ull)s.count);
	OK(c, scry_read_phys(c->vm, c->probe.scratch, &value, 8));
	CHECK(c, value == 6, "not written: %llu", (ull)value);
	return 0;
}

/* The same for one instruction at a time: every write is told of, and takes place. */
static int stepped(struct ctx *c)
{
	struct switching s = { .flags = SCRY_REPLY_STEP };
	uint64_t value;

	OK(c, scry_write_phys(c->vm, c->probe.scratch, &(uint64_t){ 0 }, 8));
	DO(run_switching(c, OP(XADD, .arg = c->probe.scratch, .value = 2), &s));
	OK(c, scry_read_phys(c->vm, c->probe.scratch, &value, 8));
	CHECK(c, s.count == N * c->vcpus && s.in_view[0] == s.count && value == 2 * N * c->vcpus,
	      "%llu events, sum %llu", (ull)s.count, (ull)value);
	return 0;
}

/* A fetch that is trapped in one view is made in another, one instruction after the other. */
static int stepped_fetch(struct ctx *c)
{
	const struct probe_op op = OP(EXEC, .arg = c->probe.patch, .flags = PROBE_CHECK, .expect = 1);
	struct switching s = { .flags = SCRY_REPLY_STEP };
	struct pump p = { .c = c, .answer = answer_switch, .opaque = &s };
	int view = new_view(c, 0);
	struct probe_vcpu block;

	DO(view);
	s.view = (unsigned)view;
	DO(subscribe(c, SUB(MEMORY)));
	OK(c, scry_view_protect(c->vm, 0, c->probe.patch >> 12, 1, SCRY_EXEC));
	for (unsigned i = 0; i < c->vcpus; i++)
		DO(guest_start(c, i, &op, 1, N));
	DO(pump_run(&p, ALL_VCPUS));
	CHECK(c, s.count == 2 * N * c->vcpus && s.in_view[0] == s.count, "%llu events",
	      (ull)s.count);
	for (unsigned i = 0; i < c->vcpus; i++) {
		DO(guest_block(c, i, &block));
		CHECK(c, block.op[0].count == N && !block.op[0].mismatches, "the guest did %llu",
		      (ull)block.op[0].count);
	}
	return 0;
}

struct planted {
	struct switching s;
	uint64_t at, reads;
};

static int answer_planted(struct pump *p, const struct scry_event *e, struct scry_reply *reply)
{
	struct planted *q = p->opaque;
	struct ctx *c = p->c;

	CHECK(c, e->view == q->s.view, "an event in view %u", e->view);
	if (e->kind == SCRY_EVENT_MEMORY) {
		q->reads++;
	} else {
		CHECK(c, e->rip == q->at, "int3 at %#llx", (ull)e->rip);
		q->s.count++;
	}
	reply->flags = SCRY_REPLY_STEP;
	return 0;
}

/* A breakpoint that the guest cannot see: in a copy of the page that it only executes. */
static int hidden(struct ctx *c)
{
	uint64_t from = c->probe.patch, copy = c->probe.scratch, word;
	struct planted q = { .at = from };
	struct pump p = { .c = c, .answer = answer_planted, .opaque = &q };
	struct probe_op list[] = { OP(EXEC, .arg = from, .flags = PROBE_CHECK, .expect = 1),
				   OP(READ, .arg = from, .size = 8, .flags = PROBE_CHECK) };
	struct probe_vcpu block;
	uint8_t page[PAGE];
	int view = new_view(c, 0);

	DO(view);
	q.s.view = (unsigned)view;
	OK(c, scry_read_phys(c->vm, from, page, PAGE));
	memcpy(&word, page, sizeof(word));
	page[0] = INT3;
	OK(c, scry_write_phys(c->vm, copy, page, PAGE));
	OK(c, scry_view_remap(c->vm, (unsigned)view, from >> 12, copy >> 12));
	OK(c, scry_view_protect(c->vm, (unsigned)view, from >> 12, 1, SCRY_READ | SCRY_WRITE));
	DO(subscribe(c, SUB(INT3)));
	DO(subscribe(c, SUB(MEMORY)));
	list[1].expect = word;
	for (unsigned i = 0; i < c->vcpus; i++) {
		OK(c, scry_view_switch(c->vm, i, (unsigned)view));
		DO(guest_start(c, i, list, 2, N));
	}
	DO(pump_run(&p, ALL_VCPUS));
	CHECK(c, q.s.count == N * c->vcpus && q.reads == N * c->vcpus, "%llu hits, %llu reads",
	      (ull)q.s.count, (ull)q.reads);
	for (unsigned i = 0; i < c->vcpus; i++) {
		DO(guest_block(c, i, &block));
		CHECK(c, block.op[0].count == N && !block.op[0].mismatches &&
		      !block.op[1].mismatches && !block.exceptions[3],
		      "the guest saw it: %llu calls, %llu and %llu wrong, %llu #BP",
		      (ull)block.op[0].count, (ull)block.op[0].mismatches,
		      (ull)block.op[1].mismatches, (ull)block.exceptions[3]);
	}
	return 0;
}

/* The same with a page of our own, which the guest has no address for. */
static int own_frame(struct ctx *c)
{
	uint64_t from = c->probe.patch_inline, frame = 0, max_before, max_after, value = 1;
	struct scry_region before[64], after[64];
	int view = new_view(c, 0), regions = scry_memory_map(c->vm, before, 64);
	struct probe_op result;
	uint8_t page[PAGE];

	DO(view);
	OK(c, scry_max_gfn(c->vm, &max_before));
	OK(c, scry_frame_create(c->vm, &frame));
	OK(c, scry_read_phys(c->vm, frame << 12, &value, 8));
	CHECK(c, value == 0, "a new frame holds %#llx", (ull)value);
	OK(c, scry_max_gfn(c->vm, &max_after));
	CHECK(c, max_after == max_before && scry_memory_map(c->vm, after, 64) == regions &&
	      !memcmp(before, after, (size_t)regions * sizeof(before[0])),
	      "the frame is in the guest's memory map");
	OK(c, scry_read_phys(c->vm, from, page, PAGE));
	OK(c, scry_write_phys(c->vm, frame << 12, page, PAGE));
	OK(c, scry_view_remap(c->vm, (unsigned)view, from >> 12, frame));
	OK(c, scry_view_switch(c->vm, 0, (unsigned)view));
	for (uint32_t i = 2; i < 10; i++) {
		OK(c, scry_write_phys(c->vm, (frame << 12) + c->probe.patch_imm, &i, 4));
		DO(guest_do(c, 0, OP(EXEC, .arg = from), &result));
		CHECK(c, result.out[0] == i, "the frame's code gave %llu, not %u", (ull)result.out[0], i);
	}
	OK(c, scry_view_remap(c->vm, (unsigned)view, from >> 12, from >> 12));
	DO(guest_do(c, 0, OP(EXEC, .arg = from), &result));
	CHECK(c, result.out[0] == 1, "the guest's code gave %llu", (ull)result.out[0]);
	OK(c, scry_frame_destroy(c->vm, frame));
	REFUSED(c, scry_frame_destroy(c->vm, frame), SCRY_E_NOTFOUND);
	REFUSED(c, scry_frame_destroy(c->vm, from >> 12), SCRY_E_NOTFOUND);
	REFUSED(c, scry_view_remap(c->vm, 0, from >> 12, (UINT64_C(1) << 40) + SCRY_FRAMES),
		SCRY_E_INVAL);
	for (unsigned i = 0; i < SCRY_FRAMES; i++)
		OK(c, scry_frame_create(c->vm, &frame));
	OK(c, scry_write_phys(c->vm, frame << 12, page, PAGE));
	REFUSED(c, scry_frame_create(c->vm, &frame), SCRY_E_NOMEM);
	return 0;
}

/* A copy has what its model has, and from then on they are two. */
static int copied(struct ctx *c)
{
	uint64_t here = c->probe.scratch, value;
	int a = new_view(c, 0), b;

	DO(a);
	for (unsigned i = 0; i < 4; i++)
		OK(c, scry_write_phys(c->vm, here + i * PAGE, &(uint64_t){ i }, 8));
	OK(c, scry_view_remap(c->vm, (unsigned)a, here >> 12, (here >> 12) + 1));
	b = new_view(c, (unsigned)a);
	DO(b);
	OK(c, scry_view_remap(c->vm, (unsigned)a, here >> 12, (here >> 12) + 2));
	OK(c, scry_view_switch(c->vm, 0, (unsigned)b));
	DO(read_word(c, here, &value));
	CHECK(c, value == 1, "the copy reads %llu", (ull)value);
	OK(c, scry_view_destroy(c->vm, (unsigned)a));
	DO(read_word(c, here, &value));
	CHECK(c, value == 1, "without its model the copy reads %llu", (ull)value);
	return 0;
}

/* So many can be made now; they are gone again. */
static int room(struct ctx *c)
{
	unsigned views[SCRY_VIEWS], count = 0;
	int view;

	while ((view = scry_view_create(c->vm, 0)) > 0)
		views[count++] = (unsigned)view;
	CHECK(c, view == SCRY_E_NOMEM, "%u views, then: %s", count, scry_errmsg());
	for (unsigned i = 0; i < count; i++)
		OK(c, scry_view_destroy(c->vm, views[i]));
	return (int)count;
}

/* A vCPU is in it, and waits in an event: it goes on in view 0, and leaves nothing behind. */
static int destroyed_held(struct ctx *c)
{
	uint64_t here = c->probe.scratch;
	const struct probe_op list[] = { OP(CPUID), OP(READ, .arg = here, .size = 8) };
	int before = room(c), after, view;
	struct probe_vcpu block;
	struct scry_event e;

	DO(before);
	OK(c, scry_write_phys(c->vm, here, &(uint64_t){ 1 }, 8));
	OK(c, scry_write_phys(c->vm, here + PAGE, &(uint64_t){ 2 }, 8));
	OK(c, subscribe(c, SUB(CPUID, .vcpus = 1)));
	for (unsigned n = 0; n < 3; n++) {
		view = new_view(c, 0);
		DO(view);
		OK(c, scry_view_remap(c->vm, (unsigned)view, here >> 12, (here >> 12) + 1));
		OK(c, scry_view_switch(c->vm, 0, (unsigned)view));
		DO(guest_start(c, 0, list, 2, 1));
		DO(pump_one(c, &e));
		CHECK(c, e.view == (unsigned)view, "an event in view %u, not %d", e.view, view);
		OK(c, scry_view_destroy(c->vm, (unsigned)view));
		OK(c, scry_reply_action(c->vm, &e, SCRY_CONTINUE));
		DO(guest_wait(c, 0));
		DO(guest_block(c, 0, &block));
		CHECK(c, block.op[1].out[0] == 1, "without the view it reads %llu",
		      (ull)block.op[1].out[0]);
	}
	after = room(c);
	DO(after);
	CHECK(c, after == before, "there is room for %d views, no longer for %d", after, before);
	return 0;
}

/* As many as there can be, and no more; they go with the handle. */
static int views_many(struct ctx *c)
{
	for (unsigned i = 1; i < SCRY_VIEWS; i++)
		DO(new_view(c, 0));
	REFUSED(c, scry_view_create(c->vm, 0), SCRY_E_NOMEM);
	REFUSED(c, scry_view_create(c->vm, SCRY_VIEWS), SCRY_E_NOTFOUND);
	REFUSED(c, scry_view_destroy(c->vm, 0), SCRY_E_INVAL);
	OK(c, scry_view_destroy(c->vm, 5));
	REFUSED(c, scry_view_destroy(c->vm, 5), SCRY_E_NOTFOUND);
	REFUSED(c, scry_view_create(c->vm, 5), SCRY_E_NOTFOUND);
	CHECK(c, new_view(c, 0) == 5, "the free number is not used");
	REFUSED(c, scry_view_remap(c->vm, 1, 1, PROBE_NOWHERE >> 12), SCRY_E_INVAL);
	REFUSED(c, scry_view_switch(c->vm, c->vcpus, 1), SCRY_E_INVAL);
	return 0;
}

#define ROM_GFN 0xfffff	/* of a PC, which not every driver can show in RAM's place */

/* A change that cannot be made leaves the view as it was, and open to others. */
static int undone(struct ctx *c)
{
	uint64_t gfn = c->probe.scratch >> 12, value;

	OK(c, scry_write_phys(c->vm, c->probe.scratch, &(uint64_t){ 7 }, 8));
	if (scry_view_remap(c->vm, 0, gfn, ROM_GFN) >= 0)
		OK(c, scry_view_remap(c->vm, 0, gfn, gfn));
	OK(c, scry_view_protect(c->vm, 0, gfn, 1, SCRY_WRITE));
	DO(read_word(c, c->probe.scratch, &value));
	CHECK(c, value == 7, "the guest reads %llu there", (ull)value);
	OK(c, scry_view_protect(c->vm, 0, gfn, 1, 0));
	DO(new_view(c, 0));
	return 0;
}

#define NEEDS { SCRY_CAP_VIEWS, SCRY_CAP_EVENT_MEMORY }

const struct test tests_views[] = {
	{ "view-remap", remapped, NEEDS },
	{ "view-code", code, NEEDS },
	{ "view-per-vcpu", per_vcpu, NEEDS },
	{ "view-in-reply", in_reply, NEEDS },
	{ "view-step", stepped, NEEDS },
	{ "view-step-fetch", stepped_fetch, NEEDS },
	{ "view-hidden", hidden, NEEDS },
	{ "view-own-frame", own_frame, NEEDS },
	{ "view-copy", copied, NEEDS },
	{ "view-undone", undone, NEEDS },
	{ "view-destroyed-held", destroyed_held, { SCRY_CAP_VIEWS, SCRY_CAP_EVENT_CPUID } },
	{ "view-many", views_many, { WHOLE(VIEWS) } },
	{ 0 }
};
