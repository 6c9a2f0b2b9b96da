/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVM_CODE_H
#define AGENT_KVM_CODE_H

#include "insn.h"
#include "kvm.h"
#include "walk.h"

/* A linear address of the vCPU's, whose registers are s; false: not mapped. */
bool kvm_look_up(struct kvcpu *k, const struct kvm_sregs *s, uint64_t gva, struct walk *w);

/* The instruction at rip, in k->insn; false: only its registers are known. */
bool kvm_decode(struct kvcpu *k);

/* The same, and the walk that leads to its first byte. */
bool kvm_fetch(struct kvcpu *k, struct walk *w);

#endif
