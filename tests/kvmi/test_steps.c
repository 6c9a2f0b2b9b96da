/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Steps over breakpoints, and their end in the middle; remaps; a second tool. */
#include <stdlib.h>
#include <unistd.h>

#include "driver_world.h"

/* The step over a breakpoint: the frame opens for one vCPU's instruction, the other held. */
void test_breakpoint(void **state)
{
	const struct scry_breakpoint b = { .sz = sizeof(b), .address = 0x200123,
					   .flags = SCRY_BREAKPOINT_PHYSICAL };
	const struct kvmi_event_pf pf = { .gva = 0x123, .gpa = 0x200123, .access = KVMI_EXEC };
	const struct kvmi_event_singlestep done = { 0 };
	struct world *w = *state;
	struct scry_event e;
	int number;

	open_vm(w, generation, LONG);
	number = scry_breakpoint_add(w->vm, &b);
	if (number < 0)
		fail_msg("%s", scry_errmsg());
	assert_int_equal(w->peer.access[0x200], KVMI_READ | KVMI_WRITE);
	w->peer.vcpu[0].gprs.rip = 0x123;
	peer_raise(&w->peer, 0, KVMI_EVENT_PF, &pf, sizeof(pf));
	e = one_event(w);
	assert_int_equal(e.kind, SCRY_EVENT_BREAKPOINT);
	assert_int_equal(e.breakpoint.number, number);
	assert_ok(scry_reply_action(w->vm, &e, SCRY_CONTINUE));
	assert_true(peer_await(&w->peer, 0, 1));
	assert_int_equal(w->peer.vcpu[0].last.reply.action, KVMI_RETRY);
	assert_int_equal(w->peer.access[0x200], 7);
	assert_true(w->peer.vcpu[0].step);
	/* The keeper takes it from here. */
	peer_raise(&w->peer, 0, KVMI_EVENT_SINGLESTEP, &done, sizeof(done));
	assert_true(peer_await(&w->peer, 0, 2));
	assert_int_equal(w->peer.access[0x200], KVMI_READ | KVMI_WRITE);
	assert_false(w->peer.vcpu[0].step);
	assert_ok(scry_breakpoint_remove(w->vm, number));
	assert_int_equal(w->peer.access[0x200], 7);
}

/* The kernel is gone in the middle of that step, for which the other vCPU is held. */
void test_gone_in_step(void **state)
{
	const struct scry_breakpoint b = { .sz = sizeof(b), .address = 0x200123,
					   .flags = SCRY_BREAKPOINT_PHYSICAL };
	const struct kvmi_event_pf pf = { .gva = 0x123, .gpa = 0x200123, .access = KVMI_EXEC };
	struct world *w = *state;
	struct scry_regs regs;
	struct scry_event e;

	open_vm(w, generation, LONG);
	if (scry_breakpoint_add(w->vm, &b) < 0)
		fail_msg("%s", scry_errmsg());
	w->peer.vcpu[0].gprs.rip = 0x123;
	peer_raise(&w->peer, 0, KVMI_EVENT_PF, &pf, sizeof(pf));
	e = one_event(w);
	assert_ok(scry_reply_action(w->vm, &e, SCRY_CONTINUE));
	assert_true(peer_await(&w->peer, 0, 1));
	assert_true(w->peer.vcpu[0].step);
	peer_hang_up(&w->peer);
	assert_error(SCRY_E_GONE, scry_event_wait(w->vm, &e, 1, 20000));
	assert_error(SCRY_E_GONE, scry_vcpu_pause(w->vm, 0));
	assert_error(SCRY_E_GONE, scry_regs_get(w->vm, 1, &regs));
	assert_error(SCRY_E_GONE, scry_breakpoint_remove(w->vm, 1));
}

/* A tool that ends in the middle of it leaves nothing that it would have to do. */
void test_close_in_step(void **state)
{
	const struct scry_breakpoint b = { .sz = sizeof(b), .address = 0x200123,
					   .flags = SCRY_BREAKPOINT_PHYSICAL };
	const struct kvmi_event_pf pf = { .gva = 0x123, .gpa = 0x200123, .access = KVMI_EXEC };
	struct world *w = *state;
	struct scry_event e;

	open_vm(w, generation, LONG);
	assert_true(scry_breakpoint_add(w->vm, &b) > 0);
	w->peer.vcpu[0].gprs.rip = 0x123;
	peer_raise(&w->peer, 0, KVMI_EVENT_PF, &pf, sizeof(pf));
	e = one_event(w);
	assert_ok(scry_reply_action(w->vm, &e, SCRY_CONTINUE));
	assert_true(peer_await(&w->peer, 0, 1));
	scry_close(w->vm);
	w->vm = NULL;
	assert_int_not_equal(access(w->path, F_OK), 0);
}

/* One VM a socket: who comes meanwhile is told so at once. */
void test_second(void **state)
{
	struct world *w = *state;
	struct scry_vm *second = NULL;

	open_vm(w, generation, LONG);
	for (int i = 0; i < 10; i++)
		assert_error(SCRY_E_BUSY, scry_open(&second, w->uri, NULL));
	assert_null(second);
}

/* Whichever of its two layouts the kernel takes the command in, it is found out first. */
static void check_remaps(struct world *w)
{
	struct peer_remap *r = w->peer.remap;
	int view, copy;

	open_vm(w, generation, LONG);
	if (generation != KVMI_V7) {
		assert_error(SCRY_E_UNSUPPORTED, scry_view_remap(w->vm, 0, 1, 2));
		return;
	}
	view = scry_view_create(w->vm, 0);
	assert_int_equal(view, 1);
	assert_ok(scry_view_remap(w->vm, 1, 0x201, 0x202));
	assert_true(r[1].view == 1 && r[1].gfn == 0x201 && r[1].target == 0x202);
	assert_int_equal(r[0].gfn, 0);
	assert_int_equal(w->peer.vcpu[0].view, 0);
	copy = scry_view_create(w->vm, 1);
	assert_int_equal(copy, 2);
	assert_true(r[2].view == 2 && r[2].gfn == 0x201 && r[2].target == 0x202);
	assert_ok(scry_view_switch(w->vm, 0, 2));
	assert_ok(scry_view_remap(w->vm, 2, 0x203, 0x204));
	assert_true(r[2].view == 2 && r[2].gfn == 0x203 && r[2].target == 0x204);
	assert_error(SCRY_E_REFUSED, scry_view_remap(w->vm, 1, PEER_HOLE >> 12, 0x204));
	assert_ok(scry_view_destroy(w->vm, 1));
	assert_true(r[1].gfn == 0x201 && r[1].target == 0x201);
	assert_int_equal(w->peer.vcpu[0].view, 2);
}

void test_remaps(void **state)
{
	check_remaps(*state);
}

void test_remaps_later(void **state)
{
	struct world *w = *state;

	w->peer.later = true;
	check_remaps(w);
}

/* One step over a breakpoint at 0x200123 has begun; vCPU 0 waits for nothing. */
static void begin_step(struct world *w, uint64_t address)
{
	const struct scry_breakpoint b = { .sz = sizeof(b), .address = address,
					   .flags = SCRY_BREAKPOINT_PHYSICAL };
	const struct kvmi_event_pf pf = { .gva = address & 0xffff, .gpa = address,
					  .access = KVMI_EXEC };
	struct scry_event e;

	assert_true(scry_breakpoint_add(w->vm, &b) > 0);
	w->peer.vcpu[0].gprs.rip = address & 0xffff;
	peer_raise(&w->peer, 0, KVMI_EVENT_PF, &pf, sizeof(pf));
	e = one_event(w);
	assert_int_equal(e.kind, SCRY_EVENT_BREAKPOINT);
	assert_ok(scry_reply_action(w->vm, &e, SCRY_CONTINUE));
	assert_true(peer_await(&w->peer, 0, 1));
	assert_int_equal(w->peer.access[address >> 12], 7);
}

static void end_step(struct world *w, unsigned replies)
{
	const struct kvmi_event_singlestep done = { 0 };

	w->peer.vcpu[0].gprs.rip += 0x1000;
	peer_raise(&w->peer, 0, KVMI_EVENT_SINGLESTEP, &done, sizeof(done));
	assert_true(peer_await(&w->peer, 0, replies));
	assert_false(w->peer.vcpu[0].step);
}

/* An instruction that goes on into the next page, in which a breakpoint is, too. */
void test_breakpoint_across(void **state)
{
	const struct scry_breakpoint next = { .sz = sizeof(next), .address = 0x201800,
					      .flags = SCRY_BREAKPOINT_PHYSICAL };
	const struct kvmi_event_pf rest = { .gva = 0x1000, .gpa = 0x201000, .access = KVMI_EXEC };
	struct world *w = *state;

	open_vm(w, generation, LONG);
	assert_true(scry_breakpoint_add(w->vm, &next) > 0);
	begin_step(w, 0x200ffe);
	assert_int_equal(w->peer.access[0x201], KVMI_READ | KVMI_WRITE);
	peer_raise(&w->peer, 0, KVMI_EVENT_PF, &rest, sizeof(rest));
	assert_true(peer_await(&w->peer, 0, 2));
	assert_int_equal(w->peer.vcpu[0].last.reply.action, KVMI_RETRY);
	assert_int_equal(w->peer.access[0x200], 7);
	assert_int_equal(w->peer.access[0x201], 7);
	end_step(w, 3);
	assert_int_equal(w->peer.access[0x200], KVMI_READ | KVMI_WRITE);
	assert_int_equal(w->peer.access[0x201], KVMI_READ | KVMI_WRITE);
	assert_true(peer_runs(&w->peer, 1, 20000));
}

/* Breakpoints that come and go in the page that is open for a step leave it open. */
void test_breakpoints_change(void **state)
{
	const struct scry_breakpoint b = { .sz = sizeof(b), .address = 0x200800,
					   .flags = SCRY_BREAKPOINT_PHYSICAL };
	struct world *w = *state;
	int number;

	open_vm(w, generation, LONG);
	begin_step(w, 0x200123);
	number = scry_breakpoint_add(w->vm, &b);
	assert_true(number > 0);
	assert_int_equal(w->peer.access[0x200], 7);
	assert_ok(scry_breakpoint_remove(w->vm, number));
	assert_int_equal(w->peer.access[0x200], 7);
	end_step(w, 2);
	assert_int_equal(w->peer.access[0x200], KVMI_READ | KVMI_WRITE);
}

/* A vCPU that is added while another steps waits for the end of that, as all do. */
void test_new_vcpu_in_step(void **state)
{
	struct world *w = *state;

	w->peer.vcpus = 1;
	open_vm(w, generation, LONG);
	begin_step(w, 0x200123);
	if (generation == KVMI_V7) {
		peer_raise(&w->peer, 1, KVMI_EVENT_CREATE_VCPU, NULL, 0);
		assert_false(peer_runs(&w->peer, 1, 50));
	}
	end_step(w, 2);
	assert_true(peer_runs(&w->peer, 1, 20000));
	assert_ok(scry_vcpu_pause(w->vm, 0));
	assert_ok(scry_vcpu_resume(w->vm, 0));
}

/* A step in another view that an exception ended is over; one that something delayed is not. */
void test_step_ends_elsewhere(void **state)
{
	const struct scry_subscription sub = { .sz = sizeof(sub), .kind = SCRY_EVENT_INT3 };
	const struct kvmi_event_breakpoint int3 = { .insn_len = 1 };
	const struct kvmi_event_singlestep failed = { .failed = 1 };
	struct scry_reply reply = { .sz = sizeof(reply), .flags = SCRY_REPLY_STEP };
	struct world *w = *state;
	struct scry_event e;

	open_vm(w, generation, LONG);
	if (generation != KVMI_V7)
		return;
	reply.view = (uint32_t)scry_view_create(w->vm, 0);
	assert_true(scry_subscribe(w->vm, &sub) > 0);
	peer_raise(&w->peer, 0, KVMI_EVENT_BREAKPOINT, &int3, sizeof(int3));
	e = one_event(w);
	assert_ok(scry_reply(w->vm, &e, &reply));
	assert_true(peer_await(&w->peer, 0, 1));
	peer_raise(&w->peer, 0, KVMI_EVENT_SINGLESTEP, &failed, sizeof(failed));
	assert_true(peer_await(&w->peer, 0, 2));
	assert_int_equal(w->peer.vcpu[0].view, reply.view);
	assert_true(w->peer.vcpu[0].step);
	w->peer.vcpu[0].gprs.rip = 0x8000;
	peer_raise(&w->peer, 0, KVMI_EVENT_SINGLESTEP, &failed, sizeof(failed));
	assert_true(peer_await(&w->peer, 0, 3));
	assert_int_equal(w->peer.vcpu[0].view, 0);
	assert_false(w->peer.vcpu[0].step);
}

/* vCPU 0's step over a breakpoint at 0x200123 stores to a page whose writes are told of. */
static struct scry_event store_in_step(struct world *w)
{
	const struct scry_subscription sub = { .sz = sizeof(sub), .kind = SCRY_EVENT_MEMORY };
	const struct kvmi_event_pf store = { .gva = 0x300008, .gpa = 0x300008, .access = KVMI_WRITE };
	struct scry_event e;

	assert_true(scry_subscribe(w->vm, &sub) > 0);
	assert_ok(scry_view_protect(w->vm, 0, 0x300, 1, SCRY_WRITE));
	begin_step(w, 0x200123);
	peer_raise(&w->peer, 0, KVMI_EVENT_PF, &store, sizeof(store));
	e = one_event(w);
	assert_int_equal(e.kind, SCRY_EVENT_MEMORY);
	return e;
}

/* While the caller thinks about it the other vCPU runs, and does not pass the breakpoint. */
void test_step_broken_off(void **state)
{
	struct world *w = *state;
	struct scry_event e;

	open_vm(w, generation, LONG);
	e = store_in_step(w);
	assert_true(peer_runs(&w->peer, 1, 20000));
	assert_int_equal(w->peer.access[0x200], KVMI_READ | KVMI_WRITE);
	assert_ok(scry_reply_action(w->vm, &e, SCRY_CONTINUE));
	assert_true(peer_await(&w->peer, 0, 2));
	assert_int_equal(w->peer.vcpu[0].last.reply.action, KVMI_CONTINUE);
	assert_int_equal(w->peer.access[0x200], 7);
	assert_false(peer_runs(&w->peer, 1, 50));
	end_step(w, 3);
	assert_int_equal(w->peer.access[0x200], KVMI_READ | KVMI_WRITE);
	assert_true(peer_runs(&w->peer, 1, 20000));
}

/* A reply by which the instruction is not carried out ends the step. */
void test_step_given_up(void **state)
{
	struct scry_regs regs = { .rip = 0x4000 };
	const struct scry_reply reply = { .sz = sizeof(reply), .set = SCRY_REG_BIT(SCRY_REG_RIP),
					  .regs = &regs };
	struct world *w = *state;
	struct scry_event e;

	open_vm(w, generation, LONG);
	e = store_in_step(w);
	assert_ok(scry_reply(w->vm, &e, &reply));
	assert_true(peer_await(&w->peer, 0, 2));
	assert_int_equal(w->peer.vcpu[0].last.reply.action, KVMI_RETRY);
	assert_false(w->peer.vcpu[0].step);
	assert_int_equal(w->peer.access[0x200], KVMI_READ | KVMI_WRITE);
	assert_true(peer_runs(&w->peer, 1, 20000));
}

/* As long as it stays in the page it is stepped on; to another breakpoint, and no further. */
void test_step_stays(void **state)
{
	const struct scry_breakpoint second = { .sz = sizeof(second), .address = 0x200130,
						.flags = SCRY_BREAKPOINT_PHYSICAL };
	const struct kvmi_event_pf pf = { .gva = 0x130, .gpa = 0x200130, .access = KVMI_EXEC };
	const struct kvmi_event_singlestep done = { 0 };
	struct world *w = *state;
	unsigned replies = 1;
	struct scry_event e;

	open_vm(w, generation, LONG);
	assert_true(scry_breakpoint_add(w->vm, &second) > 0);
	begin_step(w, 0x200123);
	for (uint64_t rip = 0x124; rip < 0x130; rip++) {
		w->peer.vcpu[0].gprs.rip = rip;
		peer_raise(&w->peer, 0, KVMI_EVENT_SINGLESTEP, &done, sizeof(done));
		assert_true(peer_await(&w->peer, 0, ++replies));
		assert_true(w->peer.vcpu[0].step);
		assert_int_equal(w->peer.access[0x200], 7);
	}
	w->peer.vcpu[0].gprs.rip = 0x130;
	peer_raise(&w->peer, 0, KVMI_EVENT_SINGLESTEP, &done, sizeof(done));
	assert_true(peer_await(&w->peer, 0, ++replies));
	assert_false(w->peer.vcpu[0].step);
	assert_int_equal(w->peer.access[0x200], KVMI_READ | KVMI_WRITE);
	peer_raise(&w->peer, 0, KVMI_EVENT_PF, &pf, sizeof(pf));
	e = one_event(w);
	assert_int_equal(e.kind, SCRY_EVENT_BREAKPOINT);
	assert_ok(scry_reply_action(w->vm, &e, SCRY_CONTINUE));
	assert_true(peer_await(&w->peer, 0, ++replies));
	end_step(w, ++replies);
	assert_int_equal(w->peer.access[0x200], KVMI_READ | KVMI_WRITE);
}
