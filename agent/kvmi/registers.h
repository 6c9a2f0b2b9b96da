/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVMI_REGISTERS_H
#define AGENT_KVMI_REGISTERS_H

#include <scry/regs.h>

#include "protocol/kvmi_event.h"

struct vcpu;

/* A vCPU's registers as the wire has them: in its own thread, between blocks or in an event. */

/* Returns its mode: bytes of a word. */
uint8_t kvmi_registers_get(struct vcpu *vcpu, struct kvmi_gprs *gprs, struct kvmi_sregs *sregs);

/* For an event. */
void kvmi_arch_get(struct vcpu *vcpu, struct kvmi_arch *arch);

/* The registers that SET_REGISTERS sets, over those in *regs; the mask of which differ. */
uint64_t kvmi_gprs_put(const struct kvmi_gprs *gprs, struct scry_regs *regs);

/* All of the vCPU's as Scry has them, in a block or outside. */
void kvmi_regs_now(struct vcpu *vcpu, struct scry_regs *regs);

#endif
