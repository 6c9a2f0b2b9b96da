/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVMI_STATE_H
#define AGENT_KVMI_STATE_H

#include "agent/vcpu/vcpu.h"
#include "mailbox.h"
#include "protocol/futex.h"
#include "request.h"

/* What the tool says of an instruction's further rounds, by REP. */
struct kvmi_rounds {
	bool repeats;		/* it has some */
	bool complete;		/* they are not told of */
	uint64_t rip;
	uint64_t told, last;	/* RCX in the round that was told of, in the last one seen */
};

/* What the server keeps of one vCPU. */
struct kvmi_state {
	struct vcpu *vcpu;
	struct kvmi_mailbox mail;
	_Atomic unsigned pauses;	/* PAUSEs whose event is still to come */
	_Atomic bool late;		/* one was waited for in vain, and it has not come since */
	_Atomic bool is_new;		/* its first event, CREATE_VCPU, is still to come */
	unsigned served;		/* messages since QEMU's own work was done */
	struct scry_habit habit;	/* of its thread, waiting */

	/* What the tool wants to be told of: the vCPU's thread writes, the service reads. */
	_Atomic uint32_t events;	/* 1u << enum kvmi_event */
	_Atomic uint32_t crs;		/* 1u << number */
	_Atomic bool steps;
	_Atomic uint64_t msrs[2 * KVMI_MSR_RANGE / 64];	/* bit n = kvmi_msr_bit() n */

	/* Its thread's own: the event that waits. */
	bool waits;
	uint32_t seq;
	enum kvmi_event event;
	struct kvmi_reply reply;
	bool sets;			/* the registers to set when it is answered */
	struct kvmi_gprs gprs;
	struct kvmi_rounds rounds;	/* of the last that it was told of */

	/* What its thread asks the service to do, and waits for; NULL = done. */
	void (*_Atomic task)(struct kvmi_state *state);
	struct kvmi_v7_change_gfn change_gfn;	/* arguments */
	int status;			/* result */
};

extern struct kvmi_state kvmi_states[SCRY_AGENT_VCPUS];

static inline struct kvmi_state *kvmi_state_of(const struct vcpu *vcpu)
{
	return &kvmi_states[vcpu->index];
}

/* Where an MSR that CONTROL_MSR takes has its bit. */
static inline unsigned kvmi_msr_bit(uint32_t msr)
{
	return msr < KVMI_MSR_RANGE ? msr : msr - KVMI_MSR_HIGH + KVMI_MSR_RANGE;
}

static inline bool kvmi_is_released(struct kvmi_state *state)
{
	return atomic_load(&state->mail.released);
}

#endif
