/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory views and what stands on them, beside what the guest does by itself. */
#include <stddef.h>

#include "bare_kvm.h"
#include "event.h"

#define RUN_MS 150

struct work {
	struct scry_vm *vm;
	uint64_t page;		/* gpa and address of a page that the guest may write */
	int view;
	uint64_t rip;		/* of the loop's CPUID */
	int instructions;	/* of a round of it */
	struct bare_kvm *bare;
};

static struct probe_op write_op(const struct work *w)
{
	return LOOP_OP(WRITE, .arg = w->page, .size = 8);
}

/* What a write costs in a list behind another operation. */
static double write_behind(struct work *w, struct probe_op first)
{
	const struct probe_op list[] = { first, write_op(w) };
	double both = loop_list(w->vm, list, 2), alone = loop_list(w->vm, list, 1);

	return bench_difference(both, alone);
}

static int protect(struct work *w, uint32_t access)
{
	if (scry_view_protect(w->vm, 0, w->page >> 12, 1, access) < 0)
		return bench_fail("%s", scry_errmsg());
	return 0;
}

static double trapped_write(void *arg)
{
	struct work *w = arg;
	double ns;

	if (protect(w, SCRY_WRITE))
		return -1;
	ns = write_behind(w, LOOP_OP(NOP));
	return protect(w, 0) ? -1 : ns;
}

static double missing_write(void *arg)
{
	struct work *w = arg;

	return write_behind(w, LOOP_OP(INVLPG, .value = w->page));
}

static int find_page(struct work *w)
{
	struct probe_header probe;

	if (scry_read_phys(w->vm, PROBE_GPA, &probe, sizeof(probe)) < 0)
		return bench_fail("%s", scry_errmsg());
	w->page = probe.scratch;
	return 0;
}

static int memtrap(const struct bench *b, const char *name, bench_fn bound, struct work *w)
{
	/* Somebody wants to be told of writes, but not of these. */
	const struct scry_subscription elsewhere = {
		.sz = sizeof(elsewhere), .kind = SCRY_EVENT_MEMORY,
		.memory = { .access = SCRY_WRITE, .use_range = 1 },
	};
	const struct probe_op nop = LOOP_OP(NOP);
	int subscription, ret;

	if (loop_list(b->vm, &nop, 1) < 0 || find_page(w) < 0)
		return -1;
	subscription = loop_subscribe(b->vm, &elsewhere);
	if (subscription < 0)
		return -1;
	ret = bench_pairs(b, name, "ns", trapped_write, bound, w);
	return loop_unsubscribe(b->vm, subscription) < 0 ? -1 : ret;
}

int bench_memtrap(const struct bench *b, const char *name)
{
	struct work w = { .vm = b->vm };

	return memtrap(b, name, missing_write, &w);
}

static double bare_exit(void *arg)
{
	const struct work *w = arg;

	return bare_kvm_ns(w->bare, RUN_MS);
}

int bench_kvm_write(const struct bench *b, const char *name)
{
	struct work w = { .vm = b->vm, .bare = bare_kvm_start(BARE_MMIO) };
	int ret = w.bare ? memtrap(b, name, bare_exit, &w) : -1;

	bare_kvm_stop(w.bare);
	return ret;
}

/* What it adds to the round trip that the reply switches the view. */
static double switching(void *arg)
{
	struct work *w = arg;
	const struct scry_reply there = { .sz = sizeof(there), .flags = SCRY_REPLY_VIEW,
					  .view = (unsigned)w->view };
	double with = event_round_trip(w->vm, &there, true);
	double without = event_round_trip(w->vm, NULL, true);

	return bench_difference(with, without);
}

/* What the guest's own flush adds to the loop. */
static double flushing(void *arg)
{
	const struct probe_op cpuid = LOOP_OP(CPUID, .arg = LOOP_LEAF);
	struct work *w = arg;
	struct probe_op list[] = { LOOP_OP(CR3), cpuid };
	struct scry_regs regs;
	double with, without;

	if (scry_regs_get(w->vm, 0, &regs) < 0)
		return bench_fail("%s", scry_errmsg());
	list[0].value = regs.cr3;
	with = loop_list(w->vm, list, 2);
	list[0] = LOOP_OP(NOP);
	without = loop_list(w->vm, list, 2);
	return bench_difference(with, without);
}

static double switching_alone(void *arg)
{
	struct work *w = arg;
	int refused = event_loop_start(w->vm);
	double ns = refused < 0 ? -1 : switching(w);

	return refused < 0 || event_loop_stop(w->vm, refused) < 0 ? -1 : ns;
}

static int with_view(const struct bench *b, const char *name, bench_fn measured, bench_fn bound,
		     struct work *w)
{
	int ret;

	w->view = scry_view_create(b->vm, 0);
	if (w->view < 0)
		return bench_fail("%s", scry_errmsg());
	ret = bench_pairs(b, name, "ns", measured, bound, w);
	return scry_view_destroy(b->vm, (unsigned)w->view) < 0 ? bench_fail("%s", scry_errmsg()) : ret;
}

int bench_view(const struct bench *b, const char *name)
{
	struct work w = { .vm = b->vm };

	return with_view(b, name, switching_alone, flushing, &w);
}

/* The next event, answered with "continue". */
static int next_event(struct scry_vm *vm, struct scry_event *event)
{
	int n = scry_event_wait(vm, event, 1, 1000);

	if (n < 0 || (n && scry_reply_action(vm, event, SCRY_CONTINUE) < 0))
		return bench_fail("%s", scry_errmsg());
	return n ? 0 : bench_fail("no event came for a second");
}

static int find_cpuid(struct work *w)
{
	int subscription = loop_subscribe_cpuid(w->vm, LOOP_LEAF);
	struct scry_event event;

	if (subscription < 0 || next_event(w->vm, &event) < 0)
		return -1;
	w->rip = event.rip;
	return loop_unsubscribe(w->vm, subscription);
}

/* Instructions of a round of the loop. */
static int count_instructions(struct work *w)
{
	const struct scry_subscription sub = { .sz = sizeof(sub), .kind = SCRY_EVENT_STEP,
					       .vcpus = 1 };
	int subscription = loop_subscribe(w->vm, &sub);
	struct scry_event event = { 0 };

	if (subscription < 0)
		return -1;
	while (event.rip != w->rip)
		if (next_event(w->vm, &event) < 0)
			return -1;
	w->instructions = 0;
	do {
		if (next_event(w->vm, &event) < 0)
			return -1;
		w->instructions++;
	} while (event.rip != w->rip);
	return loop_unsubscribe(w->vm, subscription);
}

/* A round of the loop with that subscription, whose filter refuses all. */
static double step_ns(struct work *w)
{
	const struct scry_subscription sub = { .sz = sizeof(sub), .kind = SCRY_EVENT_STEP,
					       .step.count = UINT64_MAX };
	double with, without = loop_round(w->vm);
	int subscription = loop_subscribe(w->vm, &sub);

	if (subscription < 0)
		return -1;
	with = loop_round(w->vm);
	if (loop_unsubscribe(w->vm, subscription) < 0)
		return -1;
	return bench_difference(with, without) / w->instructions;
}

static double hidden_hit(void *arg)
{
	struct work *w = arg;
	const struct scry_breakpoint breakpoint = { .sz = sizeof(breakpoint), .address = w->rip };
	double with, without = loop_round(w->vm);
	int number = scry_breakpoint_add(w->vm, &breakpoint);

	if (number < 0)
		return bench_fail("%s", scry_errmsg());
	with = loop_answered(w->vm, NULL);
	if (scry_breakpoint_remove(w->vm, number) < 0)
		return bench_fail("%s", scry_errmsg());
	return loop_drain(w->vm) < 0 ? -1 : bench_difference(with, without);
}

/* How breakpoints are hidden elsewhere: an event, another view for one step, and back. */
static double by_steps(void *arg)
{
	struct work *w = arg;
	double trip = event_round_trip(w->vm, NULL, false), step = step_ns(w), view = switching(w);

	return trip < 0 || step < 0 || view < 0 ? -1 : trip + step + 2 * view;
}

int bench_breakpoint(const struct bench *b, const char *name)
{
	struct work w = { .vm = b->vm };
	int refused = event_loop_start(b->vm), ret;

	if (refused < 0 || find_cpuid(&w) < 0 || count_instructions(&w) < 0)
		return -1;
	ret = with_view(b, name, hidden_hit, by_steps, &w);
	return event_loop_stop(b->vm, refused) < 0 ? -1 : ret;
}
