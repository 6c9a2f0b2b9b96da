/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_HELPERS_H
#define AGENT_HELPERS_H

/*
 * TCG's helper functions: by their exported name (QEMU 10) or from TCG's own
 * table of them (QEMU 7.2, which does not export them).  NULL if there is none.
 */
void *helper_find(const char *name);

/*
 * Let TCG know that the instruction callbacks of plugins read and write guest
 * registers.  Only QEMU versions whose plugin interface cannot say so need it.
 * 0 or -1.
 */
int helper_callbacks_use_registers(void);

#endif
