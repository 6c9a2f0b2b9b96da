/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_LOOK_H
#define AGENT_LOOK_H

struct vcpu;

/* Where the agent gets a look at a vCPU between its blocks.  0, or refuse(). */
int look_init(void);

/* In its own thread, with or without QEMU's big lock: look before the next block. */
void look_soon(struct vcpu *vcpu);

#endif
