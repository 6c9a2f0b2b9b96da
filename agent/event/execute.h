/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_EXECUTE_H
#define AGENT_EXECUTE_H

#include "agent/vcpu/vcpu.h"
#include "decode.h"

/*
 * For when the block of the instruction cannot be returned into.  None of
 * these returns.
 */

/*
 * Go on at the instruction, which is executed and is no event this time; unless
 * it has been overwritten meanwhile.
 */
void execute(struct vcpu *vcpu, struct site site) __attribute__((noreturn));

/* Go on behind the instruction without its effect. */
void execute_nothing(struct vcpu *vcpu, struct site site) __attribute__((noreturn));

#endif
