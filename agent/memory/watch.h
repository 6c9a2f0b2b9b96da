/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_WATCH_H
#define AGENT_WATCH_H

#include <stdbool.h>
#include <stdint.h>

struct vcpu;

/*
 * Watchpoints under TCG.  The pages that they are in come by at each access; an
 * instruction that hits one is made a block of its own, behind which the client is told.
 */

/*
 * The vCPU makes vcpu->access: which accesses to its page are to come by.  Does not
 * return if its instruction is to be begun anew.
 */
uint32_t watch_access(struct vcpu *vcpu);

/* Between blocks.  Tell of what was hit, if its instruction is complete.  True: to a handler. */
bool watch_look(struct vcpu *vcpu);

/* The same where QEMU's debugger, or its breakpoint, would have its turn. */
void watch_stopped(struct vcpu *vcpu);

/*
 * An exception or interrupt is about to be delivered; can the client be asked?  False:
 * QEMU gave the vCPU another state meanwhile.
 */
bool watch_interrupted(struct vcpu *vcpu, bool asks);

/* While no vCPU is in a block: there are others now. */
void watch_changed(void);

#endif
