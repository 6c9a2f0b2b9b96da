/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/accel.h"
#include "agent/event/operand.h"
#include "agent/memory/slat.h"
#include "agent/memory/substitute.h"
#include "event.h"
#include "fault.h"
#include "serve.h"

/*
 * v7's reply says more than what is done with this access: the data that reads of the
 * instruction find in place of memory's, and whether its further rounds, with REP, are
 * told of.  A kernel forgets it when it has emulated the instruction.
 */

/* What the view that the vCPU is in at the moment traps. */
static uint32_t traps_at(const struct vcpu *vcpu, uint64_t gpa)
{
	return vcpu->slat ? (uint32_t)slat_find(vcpu->slat, gpa >> 12 & SLAT_GFNS) : 0;
}

/* A round after the one that was told of: RCX counts them down. */
static bool is_further_round(struct kvmi_state *state, const struct scry_event *e)
{
	struct kvmi_rounds *r = &state->rounds;
	uint64_t rcx = e->gpr[SCRY_REG_RCX];

	if (!r->repeats || e->rip != r->rip || rcx >= r->told || rcx > r->last)
		return false;
	r->last = rcx;
	return true;
}

static bool is_silent(struct kvmi_state *state, const struct scry_event *e, uint32_t access)
{
	return is_further_round(state, e) &&
	       (state->rounds.complete ||
		(access == SCRY_READ &&
		 substitute_covers(state->vcpu, e->memory.gva, e->memory.size)));
}

static void make(struct kvmi_state *state)
{
	substitute_make(state->vcpu);
}

void kvmi_fault_reply(struct kvmi_state *state)
{
	if (state->reply.pf.size && !state->vcpu->substitute.gpa && accel == &accel_tcg)
		kvmi_have_done(state, make);
}

void kvmi_fault_end(struct kvmi_state *state)
{
	state->rounds.repeats = false;
	substitute_end(state->vcpu);
}

/* What the reply says of the rest of the instruction. */
static void take_rest(struct kvmi_state *state, const struct scry_event *e)
{
	const struct kvmi_v7_reply_pf *pf = &state->reply.pf;
	uint64_t rcx = e->gpr[SCRY_REG_RCX];

	if (!pf->size && !pf->rep_complete)
		return;
	substitute_begin(state->vcpu, pf->gva, pf->data, pf->size);
	state->rounds = (struct kvmi_rounds){ .repeats = operand_repeats(state->vcpu->cpu),
					      .complete = pf->rep_complete, .rip = e->rip,
					      .told = rcx, .last = rcx };
}

/* One that reads and writes is told of as both, one after the other. */
void kvmi_fault(struct kvmi_state *state, const struct scry_event *e)
{
	struct kvmi_event_pf part = { .gva = e->memory.gva, .gpa = e->memory.gpa };

	for (uint32_t bit = SCRY_READ; bit <= SCRY_EXEC; bit <<= 1) {
		if (!(e->memory.access & traps_at(state->vcpu, part.gpa) & bit) ||
		    is_silent(state, e, bit))
			continue;
		part.access = (uint8_t)bit;
		kvmi_fault_end(state);
		if (!kvmi_event_ask(state, KVMI_EVENT_PF, &part, sizeof(part)) ||
		    state->vcpu->changes)
			return;
		take_rest(state, e);
	}
}
