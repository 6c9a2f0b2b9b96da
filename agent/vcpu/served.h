/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_SERVED_H
#define AGENT_SERVED_H

#include <scry/event.h>

struct vcpu;

/*
 * Who a vCPU is told to serve: the client at the shared memory (client/), or a
 * tool that speaks KVMI (kvmi/).  One at a time.
 */
struct client_ops {
	/*
	 * In the vCPU's thread: tell of the event, and return when it is answered,
	 * with the answer in *vcpu; at once if nobody is there.
	 */
	void (*event)(struct vcpu *vcpu, const struct scry_event *event);

	/* In the vCPU's thread, between blocks, after vcpu_call(): stay as long as one wants it to. */
	void (*park)(struct vcpu *vcpu);

	/* The same, before an exception that the client injected is delivered.  May be NULL. */
	void (*injected)(struct vcpu *vcpu);

	/* Any thread: a vCPU that waits in one of these is to do the VMM's work soon. */
	void (*nudge)(struct vcpu *vcpu);

	/* Any thread: the client is gone, wait for nothing.  Until it comes again from time to time. */
	void (*release)(struct vcpu *vcpu);
};

#endif
