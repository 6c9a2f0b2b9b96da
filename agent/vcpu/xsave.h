/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_XSAVE_H
#define AGENT_XSAVE_H

#include "vcpu.h"

/*
 * A vCPU's XSAVE area in the standard format, between blocks, in its own
 * thread.  area[] has room for SCRY_AGENT_XSAVE bytes.
 */

/* The length of the area, by the guest's CPUID and XCR0. */
uint32_t xsave_size(struct vcpu *vcpu);

/* -1 if the hypervisor does not give it. */
int xsave_get(struct vcpu *vcpu, uint8_t *area);

/* Takes a whole area, of len bytes.  0, or SCRY_E_... with a sentence in text. */
int xsave_put(struct vcpu *vcpu, const uint8_t *area, uint64_t len, char *text, size_t size);

#endif
