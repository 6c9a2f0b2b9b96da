/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_XSAVE_H
#define AGENT_XSAVE_H

#include "agent/qemu/cpu.h"

/*
 * A vCPU's XSAVE area in the standard format, between blocks, in its own
 * thread.  area[] has room for SCRY_AGENT_XSAVE bytes.
 */

/* The length of the area, by the guest's CPUID and XCR0. */
uint32_t xsave_size(struct qemu_cpu *cpu);

void xsave_get(struct qemu_cpu *cpu, uint8_t *area);

/* Takes a whole area, of len bytes.  0, or SCRY_E_... with a sentence in text. */
int xsave_put(struct qemu_cpu *cpu, const uint8_t *area, uint64_t len, char *text, size_t size);

#endif
