/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_INJECT_H
#define AGENT_INJECT_H

#include "agent/vcpu/vcpu.h"

/*
 * Between blocks, with QEMU's big lock held: have it take the exception that waits.
 * False if there is none.
 */
bool inject_look(struct vcpu *vcpu);

/* In a stopped vCPU's thread: have that look find this exception, soon. */
void inject_later(struct vcpu *vcpu, const struct scry_exception *exception);

/*
 * In a stopped vCPU's thread: have it take an exception, an interrupt or an NMI
 * when it goes on.  0, or SCRY_E_... with a sentence in text.
 */
int inject(struct vcpu *vcpu, uint32_t type, const struct scry_exception *exception, char *text,
	   size_t size);

#endif
