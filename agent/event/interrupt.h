/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_INTERRUPT_H
#define AGENT_INTERRUPT_H

#include "agent/vcpu/vcpu.h"

/* Get in between QEMU and the delivery of exceptions and interrupts.  0, or refuse(). */
int interrupt_init(void);

/* In the vCPU's thread, between blocks: deliver vcpu->exception, which is no event. */
void interrupt_deliver(struct vcpu *vcpu);

#endif
