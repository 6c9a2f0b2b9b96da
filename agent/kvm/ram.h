/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVM_RAM_H
#define AGENT_KVM_RAM_H

#include "kvm.h"

/*
 * The guest's RAM as KVM has it.  While a view traps or remaps anything KVM is
 * given a second mapping of it, whose pages' protection and content are the
 * view's; QEMU and its devices go on with the first.  Views are the VM's, not the
 * vCPUs': all are in the one.
 */

/* While no vCPU executes: have RAM be as the vCPUs' view says.  NULL, or why it cannot be. */
const char *ram_apply(void);

/* The same, when all vCPUs have been put into this view. */
const char *ram_enter(unsigned view);

/* With QEMU's big lock: it has told KVM of a slot. */
void ram_slots_changed(void);

/*
 * Let all accesses to this frame through, or have it as the view says again.  write: where a
 * copy is in its place, writes are to go to the frame itself.
 */
void ram_open(uint64_t gfn, bool write);
void ram_close(uint64_t gfn);

/* The same for all frames, and writes. */
void ram_open_all(void);
void ram_close_all(void);

/*
 * Trap fetches from this frame, whatever the view says, until let go as often; NULL, or
 * why it cannot be, and then let go all the same.
 */
const char *ram_hold(uint64_t gfn);
void ram_let(uint64_t gfn);

/*
 * Have this copy of plant.c in the frame's place while nothing of the frame is trapped, and
 * trap fetches else; false: it cannot be.  The copy there, 0 = none.
 */
bool ram_show(uint64_t gfn, unsigned copy);
void ram_hide(uint64_t gfn);
unsigned ram_copy(uint64_t gfn);

/* Does the frame let no such access through? */
bool ram_blocks(uint64_t gfn, bool write);

/* Can the client's views be had at all; if not, why. */
const char *ram_lacks(void);
/* The same, while no vCPU executes, of at least one of these frames. */
const char *ram_lacks_at(uint64_t gfn, uint64_t count);

/* Is it trapped at all now? */
bool ram_is_trapped(void);

#endif
