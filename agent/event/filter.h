/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_FILTER_H
#define AGENT_FILTER_H

#include <scry/event.h>

#include "agent/memory/trap.h"
#include "agent/qemu/cpu.h"
#include "decode.h"
#include "protocol/agent_protocol.h"

/* The client's subscriptions.  Immutable once armed. */
struct filters {
	uint32_t kinds;		/* bit n = there is one of enum scry_event_kind n */
	unsigned count;
	struct {
		int number;
		struct scry_subscription sub;
	} entry[SCRY_AGENT_SUBS];
};

/* The kinds for which instructions are watched, which is arranged as they are translated. */
#define FILTER_SITES \
	(~(1u << SCRY_EVENT_INTERRUPT | 1u << SCRY_EVENT_MEMORY | 1u << SCRY_EVENT_SHUTDOWN | \
	   1u << SCRY_EVENT_START))

/* 0, or SCRY_E_... with a sentence in text. */
int filter_check(const struct scry_subscription *sub, unsigned vcpu_count, char *text,
		 size_t size);

/*
 * Is there a subscription for what this vCPU is about to execute?  Called in
 * a block, before anything else is made ready: it must cost little.
 */
bool filter_match(const struct filters *filters, struct qemu_cpu *cpu, unsigned vcpu,
		  struct site site);

/* Is there one for this step, the vCPU's nth, with rip at the next instruction? */
bool filter_match_step(const struct filters *filters, unsigned vcpu, uint64_t nth, uint64_t rip);

/* Does one want this vCPU to step; and, if so, to take no interrupts? */
bool filter_steps(const struct filters *filters, unsigned vcpu, bool *blocks);

/* Is there one for this access, which the view traps? */
bool filter_match_memory(const struct filters *filters, unsigned vcpu, unsigned view,
			 const struct trap *trap);

/* Is there one for this end? */
bool filter_match_shutdown(const struct filters *filters, unsigned vcpu,
			   enum scry_shutdown_type type);

/* Is there one for this access to an MSR, of kind MSR_READ or MSR_WRITE? */
bool filter_match_msr(const struct filters *filters, unsigned vcpu, enum scry_event_kind kind,
		      uint32_t index);

/* The same for any vCPU. */
bool filter_names_msr(const struct filters *filters, enum scry_event_kind kind, uint32_t index);

/* Is there one for this access to ports from the first on, as many as it has bytes? */
bool filter_match_port(const struct filters *filters, unsigned vcpu, uint32_t access,
		       uint32_t port, uint32_t size);

/* Is there one of this kind, which says no more? */
bool filter_match_kind(const struct filters *filters, unsigned vcpu, enum scry_event_kind kind);

/* Is there one for what this vCPU is about to take?  Its type is as in the event. */
bool filter_match_interrupt(const struct filters *filters, unsigned vcpu,
			    enum scry_interrupt_type type, uint8_t vector);

#endif
