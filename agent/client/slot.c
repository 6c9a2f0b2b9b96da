/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>
#include <sys/socket.h>

#include "protocol/futex.h"
#include "slot.h"

/* How often a vCPU that waits for long, or serves command after command, does the VMM's work. */
#define TICK_MS       10
#define TICK_COMMANDS 64

void slot_attach(struct slot *slot, struct scry_agent_shared *shared,
		 struct scry_agent_slot *mem, int bell, uint32_t reply_timeout_ms)
{
	slot->shared = shared;
	slot->mem = mem;
	slot->bell = bell;
	slot->patience_ns = (uint64_t)reply_timeout_ms * 1000000u;
	slot->event_seq = slot->command_seen = 0;
	slot->waits = false;
	atomic_store(&slot->want_stop, false);
	atomic_store(&slot->has_work, false);
	atomic_store(&slot->released, false);
}

static bool holds(struct slot *slot)
{
	return !atomic_load_explicit(&slot->released, memory_order_acquire) &&
	       (slot->waits || atomic_load_explicit(&slot->want_stop, memory_order_acquire));
}

static bool has_command(struct slot *slot)
{
	return atomic_load_explicit(&slot->mem->command, memory_order_acquire) !=
	       slot->command_seen;
}

static bool has_work(struct slot *slot)
{
	return atomic_load_explicit(&slot->has_work, memory_order_acquire);
}

/* Look for SCRY_SPIN_NS: true if there is a command, or no reason to stay. */
static bool spin(struct slot *slot)
{
	struct scry_spin turns = { 0 };

	while (slot->spins) {
		if (has_command(slot) || !holds(slot))
			return true;
		/* As rarely as at the clock: what began before this wait can wait a moment. */
		if (!scry_spin(&turns) || (turns.turns % 64 == 0 && has_work(slot)))
			break;
	}
	return false;
}

/* Tell the client that its command is done. */
static void finish(struct slot *slot, uint32_t number)
{
	atomic_store(&slot->mem->done, number);
	if (atomic_load(&slot->mem->client_sleeps))
		scry_futex_wake(&slot->mem->done);
}

static void work(struct slot *slot)
{
	slot->commands = 0;
	atomic_store(&slot->has_work, false);
	slot->ops->rest(slot->vcpu);
	slot->ops->work(slot->vcpu);
}

/* Has the event waited too long?  Time for which the client has the vCPU stopped does not count. */
static bool is_overdue(struct slot *slot)
{
	uint64_t now;

	if (!slot->patience_ns || !slot->waits)
		return false;
	now = scry_now_ns();
	if (!slot->deadline_ns || atomic_load(&slot->want_stop))
		slot->deadline_ns = now + slot->patience_ns;
	return now > slot->deadline_ns;
}

/* Sleep until there is a command, or no reason to stay, doing the VMM's work meanwhile. */
static void sleep_long(struct slot *slot)
{
	struct scry_agent_slot *mem = slot->mem;

	slot->ops->rest(slot->vcpu);
	while (!has_command(slot) && holds(slot)) {
		atomic_store(&mem->vcpu_sleeps, 1);	/* seq_cst: before the last look */
		if (atomic_load(&mem->command) == slot->command_seen && holds(slot) &&
		    !has_work(slot))
			scry_futex_wait(&mem->command, slot->command_seen, TICK_MS);
		atomic_store(&mem->vcpu_sleeps, 0);
		if (has_command(slot))
			break;
		work(slot);
		if (is_overdue(slot))
			slot->ops->overdue(slot->vcpu);
	}
}

/* Answer a command number that came when this vCPU was not stopped, or no longer. */
static void reject_stray(struct slot *slot)
{
	struct scry_agent_slot *mem = slot->mem;
	uint32_t number = atomic_load(&mem->command);

	if (number == slot->command_seen)
		return;
	slot->command_seen = number;
	strcpy(mem->text, "the vCPU is not stopped");
	mem->status = SCRY_E_STATE;
	finish(slot, number);
}

static void carry_out(struct slot *slot)
{
	struct scry_agent_slot *mem = slot->mem;
	const volatile struct scry_agent_slot *hostile = mem;
	struct slot_command command;
	uint32_t number = atomic_load_explicit(&mem->command, memory_order_acquire);

	command.op = hostile->op;
	command.action = hostile->action;
	command.set = hostile->set;
	command.msr_index = hostile->msr_index;
	command.msr_value = hostile->msr_value;
	command.flags = hostile->flags;
	command.view = hostile->view;
	command.exception.vector = hostile->exception.vector;
	command.exception.error_code = hostile->exception.error_code;
	command.exception.cr2 = hostile->exception.cr2;
	slot->command_seen = number;
	slot->commands++;

	if (command.op == SCRY_AGENT_OP_REPLY && !slot->waits) {
		strcpy(mem->text, "no event of this vCPU waits for a reply");
		mem->status = SCRY_E_STATE;
	} else {
		int status = slot->ops->command(slot->vcpu, &command, mem);

		mem->status = status;
		if (command.op == SCRY_AGENT_OP_REPLY && status == 0) {
			slot->waits = false;
			/* finish() makes it seen before the next look at want_stop. */
			atomic_store_explicit(&mem->stopped, 0, memory_order_release);
		}
	}
	finish(slot, number);
}

static void show_stopped(struct slot *slot)
{
	struct scry_agent_slot *mem = slot->mem;

	if (atomic_load_explicit(&mem->stopped, memory_order_relaxed))
		return;
	atomic_store(&mem->stopped, 1);
	scry_futex_wake(&mem->stopped);
}

static void show_running(struct slot *slot)
{
	if (atomic_load_explicit(&slot->mem->stopped, memory_order_relaxed))
		atomic_store(&slot->mem->stopped, 0);
}

static void serve(struct slot *slot)
{
	do {
		while (holds(slot)) {
			show_stopped(slot);
			if (!spin(slot))
				sleep_long(slot);
			if (has_command(slot) && holds(slot))
				carry_out(slot);
			if (slot->commands >= TICK_COMMANDS && holds(slot))
				work(slot);
		}
		/* Whoever asks for a stop, or a command, now sees 0, or is seen here. */
		show_running(slot);
	} while (holds(slot));
	reject_stray(slot);
}

static void ring(struct slot *slot)
{
	struct scry_agent_shared *shared = slot->shared;
	switch (atomic_load(&shared->sleep)) {
	case SCRY_AGENT_FUTEX:
		atomic_fetch_add(&shared->bell, 1);
		scry_futex_wake(&shared->bell);
		break;
	case SCRY_AGENT_SOCKET:
		/* If it is full it is readable, which is all that matters. */
		send(slot->bell, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		break;
	}
}

/*
 * In words, as it has just been written: a load of two at once would wait until
 * both are in the cache.
 */
static void put_event(struct scry_agent_slot *mem, const struct scry_event *event)
{
	const uint64_t *from = (const uint64_t *)event;
	uint64_t *to = (uint64_t *)&mem->event;

	_Static_assert(sizeof(*event) % sizeof(*from) == 0, "whole words");
	for (size_t i = 0; i < sizeof(*event) / sizeof(*from); i++)
		__atomic_store_n(&to[i], from[i], __ATOMIC_RELAXED);
}

void slot_event(struct slot *slot, const struct scry_event *event)
{
	struct scry_agent_slot *mem = slot->mem;

	if (atomic_load_explicit(&slot->released, memory_order_acquire))
		return;
	reject_stray(slot);
	slot->waits = true;
	slot->deadline_ns = 0;
	put_event(mem, event);
	if (atomic_load_explicit(&slot->shared->times, memory_order_relaxed))
		mem->event.time_ns = scry_now_ns();
	atomic_store_explicit(&mem->stopped, 1, memory_order_release);
	atomic_store(&mem->event_seq, ++slot->event_seq);	/* seq_cst: before looking at sleep */
	ring(slot);
	if (atomic_load(&slot->want_stop))
		scry_futex_wake(&mem->stopped);
	serve(slot);
	slot->waits = false;
}

void slot_park(struct slot *slot)
{
	if (!holds(slot))
		return;
	reject_stray(slot);
	serve(slot);
}

void slot_poke(struct slot *slot)
{
	if (!slot->mem)
		return;		/* never had a client */
	for (int i = 0; i < 100; i++) {
		scry_futex_wake(&slot->mem->command);
		if (!atomic_load(&slot->mem->vcpu_sleeps))
			return;
		usleep(10);	/* it may be about to sleep: wake it again */
	}
}
