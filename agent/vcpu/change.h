/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_CHANGE_H
#define AGENT_CHANGE_H

#include <scry/regs.h>
#include <stddef.h>

struct vcpu;

/*
 * In the thread of a vCPU that serves its client: write the registers in mask, in an
 * event without stepping out of its block if it can be.  0, or SCRY_E_REFUSED with a
 * sentence in text, and nothing is written.
 */
int change_registers(struct vcpu *vcpu, const struct scry_regs *regs, uint64_t mask, char *text,
		     size_t size);

#endif
