/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_SLOT_CLIENT_H
#define AGENT_SLOT_CLIENT_H

#include "agent/vcpu/served.h"

/* vCPUs that serve the client at the shared memory, by their slots. */
extern const struct client_ops slot_client;

/* Under QEMU's big lock: a vCPU that has been found anew.  No client is attached. */
void slot_client_init(struct vcpu *vcpu);

/* Make it come to its slot, and let it go.  -1 if it has been unplugged. */
int slot_client_stop(struct vcpu *vcpu);
void slot_client_go(struct vcpu *vcpu);

#endif
