/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVM_DEVICE_H
#define AGENT_KVM_DEVICE_H

#include "agent/memory/slat.h"
#include "kvm.h"

/*
 * Frames of devices that are trapped.  No slot of QEMU's is there, so that KVM would
 * emulate what accesses them; while one is trapped there is a slot of the agent's own,
 * whose memory has no access: KVM_RUN then fails in front of the instruction, as of RAM.
 */

/*
 * While no vCPU executes: be as the slat (NULL: none) says, but for what KVM keeps to itself
 * (the local APIC's, where the processor virtualises it).  NULL, or why it cannot be.
 */
const char *devices_apply(const struct slat *slat);

/* The same: NULL, if any of these frames is a device's that can be trapped, or why none can. */
const char *devices_lack(uint64_t gfn, uint64_t count);

/* Is this frame trapped?  Open it, while no other vCPU executes, or close it again. */
bool device_blocks(uint64_t gfn);
void device_open(uint64_t gfn);
void device_close(uint64_t gfn);
void devices_open_all(void);
void devices_close_all(void);

/*
 * With QEMU's big lock: it is about to tell KVM of this slot, and has done so.  In between
 * none of the agent's is made; those in the way have gone, until devices_apply().
 */
void devices_make_way(const struct kvm_userspace_memory_region *slot);
void devices_go_on(void);

#endif
