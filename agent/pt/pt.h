/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_PT_H
#define AGENT_PT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/qemu/qemu.h"

struct vcpu;

/* Intel PT packets of what the vCPUs execute. */

/* Are they wanted?  Changes only while no vCPU is in a block. */
bool pt_on(void);

/* A block is being translated while they are. */
void pt_translated(struct qemu_tb *tb);

/* All translated code goes, while no vCPU is in a block. */
void pt_flushed(void);

/* The vCPU leaves its block before the end, to go on at its rip. */
void pt_left(struct vcpu *vcpu);

/* It is about to deliver an exception or interrupt; none of the guest's INT. */
void pt_interrupted(struct vcpu *vcpu, bool exception);

/* A client's struct scry_agent_pt; 0, or -1 if it is malformed. */
int pt_request(int fd, const void *message, size_t len);

/* The client is gone. */
void pt_reset(void);

#endif
