/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVM_SLOT_H
#define AGENT_KVM_SLOT_H

#include "kvm.h"

/*
 * KVM's memory slots, as QEMU tells of them, and where KVM has each: in an alias
 * (alias.h), or where QEMU has it.  With QEMU's big lock held.
 */

#define SLOT_SPACE 0xffff0000u	/* of a slot's number: address spaces other than the first, SMM's */

/* QEMU tells KVM of one: true = *told is to be passed on, changed maybe. */
bool slot_told(struct kvm_userspace_memory_region *told);

/* Nothing is known of any. */
void slots_forget(void);

/*
 * Any thread, without the lock: what lies there of the guest's memory, within a page and
 * whatever a view shows.  False: nothing, or a device.
 */
bool slot_read(uint64_t gpa, void *data, unsigned len);

/*
 * The same, to make an access there until slot_end(); NULL, without that, also for a write
 * that KVM would have to see, as it notes which pages are written, or has them read-only.
 */
void *slot_begin(uint64_t gpa, bool write);
void slot_end(void);

/* Why not, while QEMU has KVM note the pages that are written: a move would lose that. */
#define STAYS "the VM is being migrated or saved: try again when that is done"

/* While no vCPU executes: have each be where alias_place() says now.  NULL, or why it is not. */
const char *slots_move(void);

#endif
