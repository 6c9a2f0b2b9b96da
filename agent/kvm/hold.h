/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVM_HOLD_H
#define AGENT_KVM_HOLD_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Frames in which something is for breakpoints, whatever the view says.  Changed only
 * while no vCPU executes.
 */

/*
 * Trap fetches from this frame until let go as often; NULL, or why it cannot be, and then
 * it is not held.
 */
const char *hold(uint64_t gfn);
void hold_end(uint64_t gfn);

/*
 * Have this copy of plant.c in the frame's place while nothing of the frame is trapped, and
 * trap fetches else; false: it cannot be.  The copy there, 0 = none.
 */
bool hold_show(uint64_t gfn, unsigned copy);
void hold_hide(uint64_t gfn);
unsigned hold_copy(uint64_t gfn);

/* For ram.c: is there any; note them in the pages that stand for them now; and in none. */
bool holds_any(void);
void holds_place(void);
void holds_forget(void);

/* Have those with a copy be as ram_open() does, or ram_close(). */
void holds_open(bool open);

#endif
