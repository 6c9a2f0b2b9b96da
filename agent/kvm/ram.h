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

/* The second mapping made, though nothing may be trapped in it yet; as above. */
const char *ram_make(void);

/* For hold.c: have its page be so, held by so many, with this copy (0 = none); as above. */
const char *ram_update(uint64_t gfn, unsigned by, unsigned copy);

/* With QEMU's big lock, nothing trapped: QEMU's map is not watched any more. */
void ram_unwatch(void);

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

/* Does the frame let no such access through? */
bool ram_blocks(uint64_t gfn, bool write);

/* Can the client's views be had at all; if not, why. */
const char *ram_lacks(void);
/* The same, while no vCPU executes, of at least one of these frames; as of struct accel. */
const char *ram_lacks_at(uint64_t gfn, uint64_t count, uint32_t traps);

/* Is it trapped at all now? */
bool ram_is_trapped(void);

#endif
