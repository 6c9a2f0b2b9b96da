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
