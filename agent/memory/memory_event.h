/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_MEMORY_EVENT_H
#define AGENT_MEMORY_EVENT_H

#include <stdbool.h>
#include <stdint.h>

struct vcpu;

/*
 * The vCPU makes vcpu->access, to the page at gpa, of which its view has that
 * entry: tell the client if it is to know.  Returns if the access is to take
 * place now.
 */
void memory_event(struct vcpu *vcpu, uint64_t gpa, uint64_t entry);

/*
 * Between blocks, with QEMU's big lock held: tell of an access that could not be
 * told of where it was made.  True if the vCPU goes on elsewhere.
 */
bool memory_event_look(struct vcpu *vcpu);

#endif
