/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_STEP_H
#define AGENT_STEP_H

#include "filter.h"
#include "vcpu.h"

/* Get in between QEMU and its debugger.  0, or refuse(). */
int step_init(void);

/* While no vCPU is in a block: have this one step if a filter wants it. */
void step_arm(struct vcpu *vcpu, const struct filters *filters);

#endif
