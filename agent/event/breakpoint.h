/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_BREAKPOINT_H
#define AGENT_BREAKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct scry_breakpoint;
struct vcpu;

/* Are there any? */
bool breakpoint_any(void);

/* Can there be one at an instruction at this address, which ends like that of its memory? */
bool breakpoint_possible(uint64_t address);

/* The one of this number. */
const struct scry_breakpoint *breakpoint_get(int n);

/*
 * The number of the breakpoint at the vCPU's rip, or 0: at this linear address, with
 * this paging root.
 */
int breakpoint_find(const struct vcpu *vcpu, uint64_t address, uint64_t cr3);

/* A client's struct scry_agent_breakpoint; 0, or -1 if it is malformed. */
int breakpoint_request(int fd, const void *message, size_t len);

/* The client is gone: no breakpoints. */
void breakpoint_reset(void);

#endif
