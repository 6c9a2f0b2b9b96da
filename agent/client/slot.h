/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_SLOT_H
#define AGENT_SLOT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "protocol/agent_protocol.h"

/*
 * One vCPU's end of its shared-memory slot (see agent_protocol.h).  Knows
 * nothing of QEMU, so that it can be tested alone.
 */

/* A command, copied out of the slot: the client may write there at any time. */
struct slot_command {
	uint32_t op, action;
	uint64_t set;
	uint32_t msr_index;
	uint32_t flags, view;
	uint64_t msr_value;
	struct scry_exception exception;
};

struct slot_ops {
	/*
	 * Carry out a command.  0, or SCRY_E_... with a sentence in mem->text.
	 * A reply that returns 0 ends the wait of the event.
	 */
	int (*command)(void *vcpu, const struct slot_command *command,
		       struct scry_agent_slot *mem);
	/* A long wait begins: be where the VMM need not wait for this vCPU. */
	void (*rest)(void *vcpu);
	/* Do the VMM's own work for this vCPU; after rest(). */
	void (*work)(void *vcpu);
	/* The client has not replied in time: be rid of it soon; after rest(). */
	void (*overdue)(void *vcpu);
};

struct slot {
	/* Set once per client, while no vCPU uses the slot. */
	const struct slot_ops *ops;
	void *vcpu;
	struct scry_agent_shared *shared;
	struct scry_agent_slot *mem;
	int bell;			/* a socket */
	bool spins;			/* for a while before it sleeps */
	uint64_t patience_ns;		/* longest wait for a reply; 0 = for ever */

	/* The vCPU's own. */
	_Alignas(64) uint32_t event_seq, command_seen;
	bool waits;			/* for the reply to an event */
	uint64_t deadline_ns;		/* of this event; 0 = not yet looked at the clock */
	unsigned commands;		/* carried out since the VMM's work was done */

	/* Other threads write these, then call slot_poke(). */
	_Alignas(64) _Atomic bool want_stop;
	_Atomic bool released;		/* the client is gone: wait for nothing */
	_Atomic bool has_work;		/* ops->work() should be called soon */
};

/*
 * Make the slot ready for a client, who has mapped shared and mem, and will reply
 * within that time (0 = whenever).
 */
void slot_attach(struct slot *slot, struct scry_agent_shared *shared,
		 struct scry_agent_slot *mem, int bell, uint32_t reply_timeout_ms);

/* Deliver the event, and serve commands until it is answered. */
void slot_event(struct slot *slot, const struct scry_event *event);

/* Serve commands while want_stop is set. */
void slot_park(struct slot *slot);

/* Any thread: make a vCPU that serves the slot look at want_stop, released and has_work. */
void slot_poke(struct slot *slot);

#endif
