/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_STEP_H
#define AGENT_STEP_H

#include "agent/vcpu/vcpu.h"
#include "filter.h"

/* Get in between QEMU and its debugger.  0, or refuse(). */
int step_init(void);

/* While no vCPU is in a block: have this one step if a filter wants it. */
void step_arm(struct vcpu *vcpu, const struct filters *filters);

/*
 * Called before the instruction of each block of one.  QEMU itself does not tell
 * of a step over PAUSE; and it tells of one where the vCPU was to leave its
 * blocks before the instruction began.
 */
void step_callback(unsigned vcpu, void *unused);

#endif
