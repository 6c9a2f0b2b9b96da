/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVM_PERFORM_H
#define AGENT_KVM_PERFORM_H

#include "access.h"
#include "move.h"

/*
 * Most instructions that a trapped page stops do nothing but load or store.  To step one,
 * its page opened and the other vCPUs held, costs many times what it costs the agent to make
 * the one access itself, through QEMU's own mapping of the RAM.  It does so where the guest
 * cannot tell that from the processor's own doing; all else is stepped.
 */

/* What of an instruction is known before the client is asked. */
struct performing {
	bool possible;
	struct access access;	/* its one access to data */
	struct move move;
	uint64_t rip, asked;	/* the vCPU's sequence */
};

void perform_look(const struct vcpu *vcpu, const struct kvcpu *k, const struct accesses *all,
		  struct performing *p);

/* When the client lets all accesses pass, of which *all tells.  False: it is to be stepped. */
bool perform(struct vcpu *vcpu, struct kvcpu *k, struct accesses *all, struct performing *p);

#endif
