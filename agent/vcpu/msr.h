/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_MSR_H
#define AGENT_MSR_H

#include "agent/qemu/cpu.h"

/* In the vCPU's own thread.  0, or -1 where the instruction would raise #GP. */
int msr_read(struct qemu_cpu *cpu, uint32_t index, uint64_t *value);
int msr_write(struct qemu_cpu *cpu, uint32_t index, uint64_t value);

#endif
