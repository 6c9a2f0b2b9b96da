/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVM_ALONE_H
#define AGENT_KVM_ALONE_H

#include "kvm.h"

/* In a vCPU's thread: no other vCPU executes until they are let go.  errno stays. */
void alone_begin(struct kvcpu *k);
void alone_end(struct kvcpu *k);

/* In between, kvm_enter(): fails with EINTR when it takes longer than a moment. */
int alone_enter(struct kvcpu *k);

#endif
