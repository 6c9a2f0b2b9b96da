/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVMI_MTRR_H
#define AGENT_KVMI_MTRR_H

#include <stdint.h>

struct vcpu;

/* The memory type that the vCPU's MTRRs give an address (Intel SDM volume 3, 12.11). */
uint8_t kvmi_mtrr_type(struct vcpu *vcpu, uint64_t gpa);

#endif
