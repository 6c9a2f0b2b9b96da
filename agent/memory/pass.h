/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_PASS_H
#define AGENT_PASS_H

/*
 * An instruction that is tried again after its event: it comes next, with no
 * interrupt before it, and what it has been told of is no event any more.
 */
#include "agent/vcpu/vcpu.h"

/* The vCPU's rip is its next instruction's; leave the block, or go on to it from between blocks. */
void pass_next(struct vcpu *vcpu);

/*
 * The same with RF, so that no other block is like its own: QEMU looks for blocks
 * that it has executed without an access to their page.
 */
void pass_fetch(struct vcpu *vcpu);

/* The instruction at rip has been told of this access: should it be tried again, it passes. */
void pass_access(struct vcpu *vcpu, const struct trap *trap);

/* It has been told of its fetch at most: what else is noted was another time. */
void pass_fetched(struct vcpu *vcpu);

/* Has the instruction at rip been told of this access? */
bool pass_has(struct vcpu *vcpu, const struct trap *trap);

/* The next instruction is executed in that view, and the vCPU is back in its own then. */
void pass_step(struct vcpu *vcpu, unsigned view);

/* Between blocks, with QEMU's big lock held: has what was to come next been executed? */
void pass_look(struct vcpu *vcpu);

/* An exception or interrupt comes instead. */
void pass_end(struct vcpu *vcpu);

#endif
