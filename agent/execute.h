/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_EXECUTE_H
#define AGENT_EXECUTE_H

#include "decode.h"
#include "vcpu.h"

/*
 * What the block would have done with the instruction, for when it cannot be
 * returned into: executed by QEMU's own helper for it.  None of these returns.
 */
void execute(struct vcpu *vcpu, struct site site) __attribute__((noreturn));

/* Go on behind the instruction without its effect. */
void execute_nothing(struct vcpu *vcpu, struct site site) __attribute__((noreturn));

/* Is the instruction in memory still the one of the event? */
bool site_unchanged(struct vcpu *vcpu, struct site site);

#endif
