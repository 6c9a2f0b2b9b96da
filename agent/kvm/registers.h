/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVM_REGISTERS_H
#define AGENT_KVM_REGISTERS_H

#include "kvm.h"

/*
 * The debug registers of all vCPUs, which break- and watchpoints share with what the guest
 * itself has in use.  Changed only while no vCPU executes.
 */

/* What one is for, as its four bits in DR7 say. */
#define DR7_EXECUTES 0u
#define DR7_WRITES   1u
#define DR7_ACCESSES 3u
#define DR7_LEN(size) (((size) == 8 ? 2u : (size) - 1) << 2)

/* Bit n: register n is in use, says DR7. */
uint8_t registers_enabled(uint64_t dr7);

/* One for this, which is shared with the same; KVM_REGISTERS = none is left. */
unsigned registers_take(uint64_t address, uint8_t what);
void registers_give(unsigned reg);

/* Put them, and what the guest has itself, into what is to be in force; and note which are whose. */
void registers_arm(struct kvcpu *k, struct kvm_guest_debug *debug);

#endif
