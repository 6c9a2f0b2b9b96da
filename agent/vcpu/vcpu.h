/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_VCPU_H
#define AGENT_VCPU_H

#include "agent/client/slot.h"
#include "agent/event/decode.h"
#include "agent/memory/trap.h"
#include "agent/qemu/cpu.h"
#include "served.h"

/* What restore_state() remembers. */
#define VCPU_RESTORED 64u
struct restored {
	uintptr_t host_pc;
	uint64_t eip, eip_after;
	uint32_t cc_op, cc_op_after;
	uint32_t flushes;
};

/* What the agent keeps of one vCPU. */
struct vcpu {
	struct slot slot;
	struct qemu_cpu *cpu;
	unsigned index;
	_Atomic bool busy;		/* its thread waits for the client, or may */
	_Atomic bool park_queued;

	/* Its thread's own. */
	struct restored restored[VCPU_RESTORED];

	/* The same, about the event that waits. */
	bool in_event;
	bool outside;			/* stepped out of the block, see vcpu_step_out() */
	uint64_t rip;			/* where the guest goes on, as far as we know */
	uint64_t cs_base;
	bool answered;			/* by a reply, and not because the client is gone */
	bool jumps;			/* the client chose another rip */
	bool changes;			/* ... other registers */
	bool moves;			/* ... another view */
	uint32_t action;		/* of the reply: continue, skip or inject */
	struct scry_exception exception;	/* to inject */
	bool raises;			/* the next exception is of our making: no event */
	uint64_t sequence;		/* events delivered to this client */

	bool delivers;			/* an exception or interrupt, at delivers_at */
	uint64_t delivers_at;
	struct {
		bool asks;		/* for what the client has yet to be told of */
		bool halted;
		bool triple_fault;	/* is what QEMU is about to be asked for a reset for */
		enum scry_shutdown_type type;
	} power;

	bool interrupted;		/* by what can have another vector: see divert() */
	_Atomic bool injects;		/* takes `injection` before its next instruction */
	struct scry_exception injection;

	/* Single-step; changes only while no vCPU is in a block. */
	bool steps;
	int step_flags;			/* how, as QEMU is told unless the vCPU is alone */
	bool alone;			/* executes one instruction with all others halted, or is about to */
	uint64_t stepped;		/* instructions */
	bool begun;			/* the instruction at begun_rip, and not told of yet */
	uint64_t begun_rip;
	bool delivered;			/* an exception or interrupt, and not told of yet */

	bool passes;			/* the instruction at rip is no event when it comes next */
	bool passes_all;		/* nor is anything else of it; else `passing` is not */
	struct site passing;
	int breakpoint;			/* that it is at */

	/* Memory views. */
	unsigned view;
	const struct slat *slat;	/* of its view; NULL = everything is as in hardware */
	struct tlb_access access;
	struct trap deferred;		/* to tell of between blocks, unless its access is 0 */
	struct pass pass;
	struct step_over over;
	struct watch_hit watch;
	struct substitute substitute;
	bool inhibits;			/* the next instruction, STI, defers interrupts */
};

#define VCPU_GONE "the hypervisor does not give this vCPU's registers: attach anew"

extern struct vcpu vcpus[SCRY_AGENT_VCPUS];
extern unsigned vcpu_count;

/* Look them up; under QEMU's big lock.  How many there are, or refuse(). */
int vcpu_find_all(void);

/* Those that have been plugged in since. */
int vcpu_find_new(void);

/* The vCPU that is QEMU's, or NULL. */
struct vcpu *vcpu_of(const struct qemu_cpu *cpu);

/* While none of them waits for a client: from now on they serve this one. */
void vcpu_serve(const struct client_ops *ops);

/* Have it come by at client_ops.park() soon.  -1 if it has been unplugged. */
int vcpu_call(struct vcpu *vcpu);

/* In the thread of a vCPU that waits for its client, stepped out: do QEMU's own work for it. */
void vcpu_work(struct vcpu *vcpu);

/*
 * Service thread: run fn while no vCPU executes or translates guest code, not
 * even one that waits in an event, and wait for it.
 */
void vcpu_run_exclusive(void (*fn)(struct qemu_cpu *cpu, void *opaque), void *opaque);

/* The client is gone: no vCPU waits for it any more.  The second waits until that is so. */
void vcpu_release_all(void);
void vcpu_wait_released(void);

/*
 * Tell of the event, and serve the client until the reply to it.  Called from a
 * translated block.
 */
void vcpu_event(struct vcpu *vcpu, const struct scry_event *event);

/*
 * Ask the client of an event between blocks; the reply is in *vcpu.  With or
 * without QEMU's big lock.  False if QEMU gave the vCPU another state meanwhile
 * (a reset, say).
 */
bool vcpu_ask(struct vcpu *vcpu, const struct scry_event *event);

/*
 * Between blocks: vcpu->injection is about to be delivered, at its rip, which the client
 * may want to know.  False if QEMU gave the vCPU another state meanwhile.
 */
bool vcpu_injected(struct vcpu *vcpu);

/*
 * Step out of the translated block in which an event waits, to the state in
 * which QEMU leaves a vCPU between blocks: its registers are complete, and the
 * others need not wait for it.  That block may be thrown away meanwhile, so it
 * is never returned into: vcpu_leave() instead.
 */
void vcpu_step_out(struct vcpu *vcpu);

/* Step in again.  False if QEMU set other registers meanwhile (a reset, say). */
bool vcpu_step_in(struct vcpu *vcpu);

/* Leave the translated block: the guest goes on at its rip.  Does not return. */
void vcpu_leave(struct vcpu *vcpu) __attribute__((noreturn));

#endif
