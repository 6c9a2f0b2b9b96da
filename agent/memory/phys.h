/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_PHYS_H
#define AGENT_PHYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Read or write guest-physical memory; code that is written takes effect.  All
 * or nothing: 0, or SCRY_E_ADDRESS or SCRY_E_REFUSED with a sentence in text.
 */
int phys_access(uint64_t gpa, void *data, uint64_t len, bool write, char *text, size_t size);

/* Steps with each write: a vCPU in an event sees that code may have changed. */
unsigned phys_writes(void);

#endif
