/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVM_TARGET_H
#define AGENT_KVM_TARGET_H

#include "kvm.h"

/* Fill what of k->step the instruction at rip says, with these registers. */
void targets_find(struct vcpu *vcpu, struct kvcpu *k, const struct kvm_regs *r);

#endif
