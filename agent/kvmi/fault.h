/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVMI_FAULT_H
#define AGENT_KVMI_FAULT_H

#include "state.h"

/* In the vCPU's thread: tell the tool of a trapped access. */
void kvmi_fault(struct kvmi_state *state, const struct scry_event *event);

/* Its reply has come, and the vCPU still waits: have what it needs. */
void kvmi_fault_reply(struct kvmi_state *state);

/* What the last reply says of its instruction says nothing of the next. */
void kvmi_fault_end(struct kvmi_state *state);

#endif
