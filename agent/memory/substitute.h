/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_SUBSTITUTE_H
#define AGENT_SUBSTITUTE_H

/*
 * Data that a vCPU reads in place of memory's, where its view traps reads: an access
 * finds the data or the memory, whole, and writes go to the memory.
 */
#include "agent/vcpu/vcpu.h"

/* Service thread: have the frame in which the vCPU finds it.  Without, it finds memory. */
void substitute_make(struct vcpu *vcpu);

/* From gva on, until substitute_end(). */
void substitute_begin(struct vcpu *vcpu, uint64_t gva, const void *data, uint32_t size);
void substitute_end(struct vcpu *vcpu);

/* The client is gone, and the frame with it. */
void substitute_forget(struct vcpu *vcpu);

/* Is all of this to be read there? */
bool substitute_covers(const struct vcpu *vcpu, uint64_t gva, uint32_t size);

/* Does the vCPU make vcpu->access, which its view traps, to it?  Then *gpa is where. */
bool substitute_finds(const struct vcpu *vcpu, uint64_t *gpa);

#endif
