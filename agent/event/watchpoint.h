/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_WATCHPOINT_H
#define AGENT_WATCHPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <scry/watchpoint.h>

struct vcpu;

/* Sets of watchpoints: bit n - 1 = number n. */

/* Are there any? */
bool watchpoint_any(void);

/* Those that this vCPU hits by an access of `size` bytes, SCRY_READ or SCRY_WRITE or both. */
uint8_t watchpoint_find(const struct vcpu *vcpu, uint64_t cr3, uint64_t gva, uint64_t size,
			uint32_t access);

/* Of a set, those that are still there, for this vCPU and paging root. */
uint8_t watchpoint_wanted(const struct vcpu *vcpu, uint64_t cr3, uint8_t set);

/* Accesses, of any in the page of this linear address. */
uint32_t watchpoint_in_page(uint64_t gva);

/* What an event tells of it. */
void watchpoint_describe(int n, struct scry_event *event);

/* A client's struct scry_agent_watchpoint; 0, or -1 if it is malformed. */
int watchpoint_request(int fd, const void *message, size_t len);

/* The client is gone: no watchpoints. */
void watchpoint_reset(void);

#endif
