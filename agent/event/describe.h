/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_DESCRIBE_H
#define AGENT_DESCRIBE_H

#include "agent/vcpu/vcpu.h"
#include "decode.h"

/* Fill what every event says of its vCPU, and number it. */
void describe_vcpu(struct vcpu *vcpu, struct scry_event *event);

/* Fill an event about the instruction at vcpu->rip, and number it. */
void describe(struct vcpu *vcpu, struct site site, struct scry_event *event);

#endif
