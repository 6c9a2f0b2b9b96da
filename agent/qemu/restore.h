/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_RESTORE_H
#define AGENT_RESTORE_H

#include <stdint.h>

struct vcpu;

/* Be told when QEMU throws its translated code away. */
void restore_init(uint64_t plugin_id);

/*
 * In a callback that the translated code at host_pc has made: bring what that
 * code keeps apart, rip and the kind of the lazy flags, into the vCPU's state.
 * QEMU's cpu_restore_state(), remembered: that looks the block up in a tree,
 * under a lock, and unpacks its table.
 */
void restore_state(struct vcpu *vcpu, uintptr_t host_pc);

#endif
