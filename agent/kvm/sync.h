/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVM_SYNC_H
#define AGENT_KVM_SYNC_H

#include "kvm.h"

/*
 * KVM_CAP_SYNC_REGS: while anything is armed KVM_RUN leaves the vCPU's registers in struct
 * kvm_run, and to read them takes no ioctl until something may have changed them.  General
 * registers that are written there are KVM's before anything else is asked of the vCPU.
 */

/* Can this kernel do it? */
bool sync_possible(void);

/* Around KVM_RUN; its answer, with errno. */
void sync_enter(struct kvcpu *k);
void sync_left(struct kvcpu *k, int answer);

/* The agent, or QEMU, is about to ask this of the vCPU. */
void sync_request(struct kvcpu *k, unsigned long request);

/* As KVM_SET_REGS, with the next KVM_RUN if that can be. */
void sync_set_regs(struct kvcpu *k, const struct kvm_regs *r);

/* Have KVM know them now. */
void sync_flush(struct kvcpu *k);

/* True: *argument is what KVM would have said. */
bool sync_answers(const struct kvcpu *k, unsigned long request, void *argument);

#endif
