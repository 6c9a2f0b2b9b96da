/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/event/power.h"
#include "agent/vcpu/change.h"
#include "command.h"
#include "event.h"
#include "ids.h"
#include "link.h"
#include "options.h"
#include "out.h"
#include "protocol/futex.h"
#include "registers.h"
#include "serve.h"

/* How often a vCPU that waits for long, or serves message after message, does QEMU's work. */
#define TICK_MS       10
#define TICK_MESSAGES 64

/* So long the service waits for a vCPU to leave the guest, and does nothing else. */
#define PAUSE_NS 50000000u

struct kvmi_state kvmi_states[SCRY_AGENT_VCPUS];

static void work(struct kvmi_state *state)
{
	vcpu_step_out(state->vcpu);
	state->served = 0;
	atomic_store(&state->mail.has_work, false);
	vcpu_work(state->vcpu);
}

/* Carry out a message if there is one. */
static bool serve(struct kvmi_state *state)
{
	struct kvmi_mail *mail = kvmi_mailbox_take(&state->mail);

	if (!mail)
		return false;
	kvmi_command(state, mail);
	free(mail);
	if (++state->served >= TICK_MESSAGES)
		work(state);
	return true;
}

/* Look for SCRY_SPIN_NS, at the socket too: has something come? */
static bool spin(struct kvmi_state *state, uint32_t seen)
{
	struct scry_spin turns = { 0 };

	do {
		if (atomic_load(&state->mail.word) != seen)
			return true;
		kvmi_link_read();
	} while (scry_spin(&turns));
	return false;
}

static bool comes_soon(struct kvmi_state *state, uint32_t seen)
{
	bool came;

	if (!scry_habit_looks(&state->habit))
		return false;
	came = spin(state, seen);
	scry_habit_learn(&state->habit, came);
	return came && !atomic_load(&state->mail.has_work);
}

/* Until it is woken, or for a while. */
static void wait(struct kvmi_state *state, uint32_t seen)
{
	if (comes_soon(state, seen))
		return;
	vcpu_step_out(state->vcpu);
	if (!atomic_load(&state->mail.has_work) &&
	    kvmi_mailbox_sleep(&state->mail, seen, TICK_MS, kvmi_link_fd()))
		kvmi_link_read();
	if (atomic_load(&state->mail.has_work) || kvmi_mailbox_is_empty(&state->mail))
		work(state);
}

/* From here on the vCPU need not be called; returns what it was before. */
static bool enter(struct kvmi_state *state)
{
	atomic_store(&state->late, false);
	return atomic_exchange(&state->mail.waits, true);
}

/* From here on it must be; what has come already is to be seen before its next instruction. */
static void leave(struct kvmi_state *state)
{
	atomic_store(&state->mail.waits, false);
	if (kvmi_is_released(state) ||
	    (!atomic_load(&state->pauses) && kvmi_mailbox_is_empty(&state->mail)))
		return;
	vcpu_step_out(state->vcpu);
	vcpu_call(state->vcpu);
}

static void set_registers(struct kvmi_state *state)
{
	struct scry_regs regs;
	char text[160];
	uint64_t mask;

	kvmi_regs_now(state->vcpu, &regs);
	mask = kvmi_gprs_put(&state->gprs, &regs);
	if (mask)
		change_registers(state->vcpu, &regs, mask, text, sizeof(text));
}

/* v12's KVM leaves the VM with "shutdown", which QEMU answers with a reset. */
static void crash(void)
{
	if (kvmi_options.generation == KVMI_V7)
		kill(getpid(), SIGTERM);
	else
		power_reset();
}

static void send_event(struct kvmi_state *state, const void *part, size_t size)
{
	uint16_t id = kvmi_event_id(kvmi_options.generation, state->event);
	uint16_t index = (uint16_t)state->vcpu->index;
	struct {
		struct kvmi_v12_event event;
		struct kvmi_v12_common common;
	} v12 = { { .event = id }, { .size = sizeof(v12.common), .vcpu = index } };
	struct kvmi_v7_event v7 = { .size = sizeof(v7), .vcpu = index, .event = (uint8_t)id };

	if (kvmi_options.generation == KVMI_V12) {
		kvmi_arch_get(state->vcpu, &v12.common.arch);
		state->seq = kvmi_out_event(KVMI_V12_VCPU_EVENT, &v12, sizeof(v12), part, size);
	} else {
		kvmi_arch_get(state->vcpu, &v7.arch);
		v7.arch.view = (uint16_t)state->vcpu->view;
		state->seq = kvmi_out_event(KVMI_V7_EVENT, &v7, sizeof(v7), part, size);
	}
}

/* So long a reply is waited for; a pause lasts as long as the tool wants. */
static uint64_t patience_ends(enum kvmi_event event)
{
	return kvmi_options.reply_timeout_ns && event != KVMI_EVENT_PAUSE ?
	       scry_now_ns() + kvmi_options.reply_timeout_ns : UINT64_MAX;
}

static void look_at_clock(uint64_t *end_ns)
{
	if (*end_ns == UINT64_MAX || scry_now_ns() < *end_ns)
		return;
	*end_ns = UINT64_MAX;
	kvmi_out_hang_up("no reply to an event within kvmi-reply-timeout=");
}

bool kvmi_ask(struct kvmi_state *state, enum kvmi_event event, const void *part, size_t size)
{
	bool answered, nested = enter(state);
	uint64_t end_ns = patience_ends(event);

	state->event = event;
	state->sets = false;
	state->waits = true;
	send_event(state, part, size);
	while (state->waits && !kvmi_is_released(state)) {
		uint32_t seen = atomic_load(&state->mail.word);

		if (!serve(state) && !kvmi_is_released(state))
			wait(state, seen);
		/* Commands without end are no reply either. */
		if (state->waits)
			look_at_clock(&end_ns);
	}
	answered = !state->waits;
	state->waits = false;
	if (answered && state->sets)
		set_registers(state);
	if (answered && state->reply.action == KVMI_CRASH)
		crash();
	if (!nested)
		leave(state);
	return answered;
}

/* Between blocks: what there is, then the pauses. */
static void park(struct vcpu *vcpu)
{
	struct kvmi_state *state = kvmi_state_of(vcpu);
	enum kvmi_event next;

	if (kvmi_is_released(state))
		return;
	enter(state);
	while (!kvmi_is_released(state)) {
		if (serve(state))
			continue;
		if (atomic_exchange(&state->is_new, false))
			next = KVMI_EVENT_CREATE_VCPU;
		else if (atomic_load(&state->pauses) && atomic_fetch_sub(&state->pauses, 1))
			next = KVMI_EVENT_PAUSE;
		else
			break;
		vcpu->rip = cpu_get64(vcpu->cpu, cpu_layout.eip);
		kvmi_ask(state, next, NULL, 0);
	}
	leave(state);
}

static void event(struct vcpu *vcpu, const struct scry_event *what)
{
	struct kvmi_state *state = kvmi_state_of(vcpu);

	if (!kvmi_is_released(state))
		kvmi_event(state, what);
}

static void injected(struct vcpu *vcpu)
{
	struct kvmi_state *state = kvmi_state_of(vcpu);

	if (!kvmi_is_released(state))
		kvmi_event_trap(state);
}

static void nudge(struct vcpu *vcpu)
{
	struct kvmi_state *state = kvmi_state_of(vcpu);

	atomic_store(&state->mail.has_work, true);
	kvmi_mailbox_wake(&state->mail);
}

static void release(struct vcpu *vcpu)
{
	struct kvmi_state *state = kvmi_state_of(vcpu);

	if (!kvmi_is_released(state))
		atomic_store(&vcpu->injects, false);
	atomic_store(&state->mail.released, true);
	kvmi_mailbox_wake(&state->mail);
}

const struct client_ops kvmi_client = { .event = event, .park = park, .injected = injected,
					.nudge = nudge, .release = release };

bool kvmi_have_done(struct kvmi_state *state, void (*task)(struct kvmi_state *state))
{
	vcpu_step_out(state->vcpu);
	atomic_store(&state->task, task);
	kvmi_link_ring();
	while (atomic_load(&state->task) && !kvmi_is_released(state)) {
		uint32_t seen = atomic_load(&state->mail.word);

		if (atomic_load(&state->task)) {
			if (!atomic_load(&state->mail.has_work))
				kvmi_mailbox_sleep(&state->mail, seen, TICK_MS, -1);
			work(state);
		}
	}
	return !atomic_exchange(&state->task, NULL);
}

void kvmi_do_tasks(void)
{
	for (unsigned i = 0; i < vcpu_count; i++) {
		struct kvmi_state *state = &kvmi_states[i];
		void (*task)(struct kvmi_state *) = atomic_load(&state->task);

		if (!task)
			continue;
		task(state);
		atomic_store(&state->task, NULL);
		kvmi_mailbox_wake(&state->mail);
	}
}

int kvmi_post(struct kvmi_state *state, const struct kvmi_header *header, const void *payload,
	      bool silent, bool tells_errors)
{
	if (kvmi_mailbox_put(&state->mail, header, payload, silent, tells_errors) < 0)
		return -1;
	if (atomic_load(&state->mail.waits))
		kvmi_mailbox_wake(&state->mail);
	else
		vcpu_call(state->vcpu);
	return 0;
}

/* Once it is there it stays, for the event. */
static bool await_vcpu(struct kvmi_state *state)
{
	uint64_t end = scry_now_ns() + PAUSE_NS;

	/* What is answered already does not wait for it. */
	kvmi_out_gather(false);
	while (!atomic_load(&state->mail.waits) && scry_now_ns() < end)
		usleep(50);
	return atomic_load(&state->mail.waits);
}

bool kvmi_pause(struct kvmi_state *state, bool wait_for_it)
{
	atomic_fetch_add(&state->pauses, 1);
	if (atomic_load(&state->mail.waits) || vcpu_call(state->vcpu) < 0 || !wait_for_it)
		return true;
	/* Who pauses and pauses a vCPU that does not come is not to stop the service by that. */
	if (!atomic_load(&state->late))
		atomic_store(&state->late, !await_vcpu(state));
	return !atomic_load(&state->late);
}
