/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVM_PROGRESS_H
#define AGENT_KVM_PROGRESS_H

#include <scry/event.h>
#include <stdbool.h>

struct kvcpu;

/*
 * What of the instruction at rip is done.  It begins when the client lets a first event of it
 * pass, is the same one as long as rip, rsp and rcx (the rounds of REP) are, and is over when
 * it has been executed, has raised an exception, or is left for elsewhere.
 */
/* An access that a view traps, and that the client has been told of. */
struct told {
	uint64_t gva, gpa;
	uint32_t access;
};

#define TOLD_MOST 64u	/* of one instruction */

struct progress {
	uint64_t rip, rsp, rcx;
	uint32_t told;		/* bit n: of event kind n, which passes */
	unsigned accesses;	/* so many of kvcpu's told[] have been told of, and pass */
	bool raises;		/* an exception comes first */
	bool looks;		/* for a breakpoint at rip: a step has led here */
};

/* The client has been told of an event of this kind, and says to go on with it. */
void progress_told(struct kvcpu *k, enum scry_event_kind kind);

/* Has it been told of that one already? */
bool progress_passes(struct kvcpu *k, enum scry_event_kind kind);

/* It is over: what comes next is another one, though it may be at the same place. */
void progress_over(struct kvcpu *k);

/* Of events that nobody is to be told of any more. */
void progress_forget(struct kvcpu *k);

#endif
