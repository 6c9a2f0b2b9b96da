/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What fails half-way leaves nothing, and what cannot be done yet is done later. */
#include <unistd.h>

#include "driver_world.h"

static const struct scry_subscription int3s = { .sz = sizeof(int3s), .kind = SCRY_EVENT_INT3 };
static const struct kvmi_event_breakpoint int3 = { .gpa = 0x1000, .insn_len = 1 };

/* An event that waits for the reply. */
static struct scry_event int3_event(struct world *w)
{
	assert_true(scry_subscribe(w->vm, &int3s) > 0);
	peer_raise(&w->peer, 0, KVMI_EVENT_BREAKPOINT, &int3, sizeof(int3));
	return one_event(w);
}

static bool await_events(struct world *w, unsigned vcpu, uint32_t events)
{
	uint32_t now = 0;

	for (int i = 0; i < 2000 && now != events; i++) {
		pthread_mutex_lock(&w->peer.lock);
		now = w->peer.vcpu[vcpu].events;
		pthread_mutex_unlock(&w->peer.lock);
		usleep(10000);
	}
	return now == events;
}

/* A vCPU that the guest has not started yet is armed when it is. */
void test_not_started(void **state)
{
	struct world *w = *state;

	w->peer.vcpu[1].asleep = true;
	open_vm(w, generation, LONG);
	assert_true(scry_subscribe(w->vm, &int3s) > 0);
	assert_int_equal(w->peer.vcpu[0].events, 1u << KVMI_EVENT_BREAKPOINT);
	assert_int_equal(w->peer.vcpu[1].events, 0);
	pthread_mutex_lock(&w->peer.lock);
	w->peer.vcpu[1].asleep = false;
	pthread_mutex_unlock(&w->peer.lock);
	assert_true(await_events(w, 1, 1u << KVMI_EVENT_BREAKPOINT));
}

static void start_vcpu(struct world *w, unsigned vcpu)
{
	pthread_mutex_lock(&w->peer.lock);
	w->peer.vcpu[vcpu].asleep = false;
	pthread_mutex_unlock(&w->peer.lock);
}

static bool is_paused(struct world *w, unsigned vcpu)
{
	bool paused;

	pthread_mutex_lock(&w->peer.lock);
	paused = w->peer.vcpu[vcpu].waits && w->peer.vcpu[vcpu].event == KVMI_EVENT_PAUSE;
	pthread_mutex_unlock(&w->peer.lock);
	return paused;
}

/* One that is started while it is paused stands as soon as that is seen. */
void test_paused_not_started(void **state)
{
	struct world *w = *state;
	bool paused = false;

	w->peer.vcpu[1].asleep = true;
	open_vm(w, generation, LONG);
	assert_ok(scry_vcpu_pause(w->vm, 1));
	start_vcpu(w, 1);
	for (int i = 0; i < 2000 && !paused; i++) {
		paused = is_paused(w, 1);
		usleep(10000);
	}
	assert_true(paused);
	assert_ok(scry_vcpu_resume(w->vm, 1));
	assert_true(peer_runs(&w->peer, 1, 20000));
}

/* When the last vCPU is paused that could have started it, it is, too. */
void test_started_by_next(void **state)
{
	struct world *w = *state;

	w->peer.vcpu[0].asleep = true;
	open_vm(w, generation, LONG);
	assert_ok(scry_vcpu_pause(w->vm, 0));
	start_vcpu(w, 0);
	assert_ok(scry_vcpu_pause(w->vm, 1));
	assert_true(is_paused(w, 0));
}

/* What was switched on before the refusal is switched off again. */
void test_subscription_fails(void **state)
{
	const struct scry_subscription sub = { .sz = sizeof(sub), .kind = SCRY_EVENT_CR_WRITE,
					       .cr = { .cr = 4 } };
	struct world *w = *state;

	open_vm(w, generation, LONG);
	w->peer.refused = UINT64_C(1) << KVMI_CONTROL_CR;
	assert_error(SCRY_E_REFUSED, scry_subscribe(w->vm, &sub));
	assert_int_equal(w->peer.vcpu[0].events, 0);
	w->peer.refused = 0;
	assert_true(scry_subscribe(w->vm, &sub) > 0);
	assert_int_equal(w->peer.vcpu[1].crs, 1u << 4);
}

/* Single-step that is on late, when nobody wants it any longer. */
void test_unwanted_step(void **state)
{
	const struct scry_subscription sub = { .sz = sizeof(sub), .kind = SCRY_EVENT_STEP };
	const struct kvmi_event_singlestep done = { 0 };
	struct world *w = *state;

	open_vm(w, generation, 1500);
	w->peer.mute = true;
	assert_error(SCRY_E_TIMEOUT, scry_subscribe(w->vm, &sub));
	w->peer.mute = false;
	w->peer.vcpu[0].step = true;
	peer_raise(&w->peer, 0, KVMI_EVENT_SINGLESTEP, &done, sizeof(done));
	assert_true(peer_await(&w->peer, 0, 1));
	assert_false(w->peer.vcpu[0].step);
}

/* v12 injects nothing into a vCPU that is being stepped, so that it is not for a moment. */
void test_inject_stepped(void **state)
{
	const struct scry_subscription sub = { .sz = sizeof(sub), .kind = SCRY_EVENT_STEP };
	const struct kvmi_event_singlestep done = { 0 };
	struct world *w = *state;
	struct scry_event e;

	open_vm(w, generation, LONG);
	assert_true(scry_subscribe(w->vm, &sub) > 0);
	peer_raise(&w->peer, 0, KVMI_EVENT_SINGLESTEP, &done, sizeof(done));
	e = one_event(w);
	assert_ok(scry_reply_action(w->vm, &e, SCRY_DENY));
	assert_true(peer_await(&w->peer, 0, 1));
	assert_int_equal(w->peer.vcpu[0].vector, 13);
	assert_true(w->peer.vcpu[0].step);
}

/* Meanwhile it does not run on: no step is missed. */
void test_inject_running(void **state)
{
	const struct scry_subscription sub = { .sz = sizeof(sub), .kind = SCRY_EVENT_STEP };
	const struct scry_injection ud = { .sz = sizeof(ud), .type = SCRY_INTERRUPT_EXCEPTION,
					   .exception = { .vector = 6 } };
	struct world *w = *state;

	open_vm(w, generation, LONG);
	assert_true(scry_subscribe(w->vm, &sub) > 0);
	assert_ok(scry_inject(w->vm, 0, &ud));
	assert_int_equal(w->peer.vcpu[0].vector, 6);
	assert_int_equal(w->peer.vcpu[0].unstepped, 0);
	assert_true(peer_runs(&w->peer, 0, 20000));
	assert_true(w->peer.vcpu[0].step);
}

/* A reply that cannot be carried out changes nothing: another may follow. */
void test_reply_fails(void **state)
{
	struct scry_regs regs = { .gpr[SCRY_REG_RAX] = 0x77 };
	const struct scry_reply reply = { .sz = sizeof(reply), .flags = SCRY_REPLY_VIEW, .view = 2,
					  .set = SCRY_REG_BIT(SCRY_REG_RAX), .regs = &regs };
	struct world *w = *state;
	struct scry_event e;

	open_vm(w, generation, LONG);
	e = int3_event(w);
	assert_error(generation == KVMI_V7 ? SCRY_E_NOTFOUND : SCRY_E_UNSUPPORTED,
		     scry_reply(w->vm, &e, &reply));
	assert_ok(scry_reply_action(w->vm, &e, SCRY_CONTINUE));
	assert_true(peer_await(&w->peer, 0, 1));
	assert_int_equal(w->peer.vcpu[0].gprs.rax, 0);
}

/* The same where another exception is under way. */
void test_inject_fails(void **state)
{
	struct scry_regs regs = { .gpr[SCRY_REG_RAX] = 0x77 };
	const struct scry_reply reply = { .sz = sizeof(reply), .action = SCRY_INJECT,
					  .exception = { .vector = 6 },
					  .set = SCRY_REG_BIT(SCRY_REG_RAX), .regs = &regs };
	struct world *w = *state;
	struct scry_event e;

	open_vm(w, generation, LONG);
	e = int3_event(w);
	w->peer.refused = UINT64_C(1) << KVMI_INJECT_EXCEPTION;
	assert_error(SCRY_E_REFUSED, scry_reply(w->vm, &e, &reply));
	assert_says("INJECT_EXCEPTION");
	assert_ok(scry_reply_action(w->vm, &e, SCRY_CONTINUE));
	assert_true(peer_await(&w->peer, 0, 1));
	assert_int_equal(w->peer.vcpu[0].gprs.rax, 0);
}

/* Views that could not be made take no place. */
void test_view_fails(void **state)
{
	struct world *w = *state;

	open_vm(w, generation, LONG);
	if (generation != KVMI_V7)
		return;
	w->peer.refused = UINT64_C(1) << KVMI_SET_PAGE_ACCESS;
	for (int i = 0; i < 4; i++)
		assert_error(SCRY_E_REFUSED, scry_view_create(w->vm, 0));
	w->peer.refused = 0;
	assert_int_equal(scry_view_create(w->vm, 0), 1);
}

/* A view that cannot be entered is not changed, nor is another in its place. */
void test_remap_fails(void **state)
{
	struct world *w = *state;

	open_vm(w, generation, LONG);
	if (generation != KVMI_V7)
		return;
	assert_int_equal(scry_view_create(w->vm, 0), 1);
	w->peer.refused = UINT64_C(1) << KVMI_SET_EPT_VIEW;
	assert_error(SCRY_E_REFUSED, scry_view_remap(w->vm, 1, 0x201, 0x202));
	assert_int_equal(w->peer.remap[0].gfn, 0);
}

/* Of an instruction that cannot be read, to skip it is to go on. */
void test_nothing_to_skip(void **state)
{
	const struct scry_subscription sub = { .sz = sizeof(sub), .kind = SCRY_EVENT_MEMORY };
	const struct kvmi_event_pf pf = { .gva = 0x123, .gpa = 0x200123, .access = KVMI_WRITE };
	struct world *w = *state;
	struct scry_event e;

	open_vm(w, generation, LONG);
	assert_true(scry_subscribe(w->vm, &sub) > 0);
	assert_ok(scry_view_protect(w->vm, 0, 0x200, 1, SCRY_WRITE));
	w->peer.vcpu[0].gprs.rip = UINT64_C(0xffff800000000000);
	peer_raise(&w->peer, 0, KVMI_EVENT_PF, &pf, sizeof(pf));
	e = one_event(w);
	assert_int_equal(e.insn_len, 0);
	assert_ok(scry_reply_action(w->vm, &e, SCRY_SKIP));
	assert_true(peer_await(&w->peer, 0, 1));
	assert_int_equal(w->peer.vcpu[0].last.reply.action, KVMI_CONTINUE);
}

/* A vCPU that is added to a paused VM is paused. */
void test_new_vcpu_paused(void **state)
{
	struct world *w = *state;

	if (generation != KVMI_V7)
		return;
	w->peer.vcpus = 1;
	open_vm(w, generation, LONG);
	assert_ok(scry_pause(w->vm));
	peer_raise(&w->peer, 1, KVMI_EVENT_CREATE_VCPU, NULL, 0);
	assert_false(peer_runs(&w->peer, 1, 500));
	assert_ok(scry_resume(w->vm));
	assert_true(peer_runs(&w->peer, 1, 20000));
}
