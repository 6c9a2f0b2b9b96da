/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVMI_EVENT_H
#define AGENT_KVMI_EVENT_H

#include "state.h"

/*
 * In the vCPU's thread: tell the tool of what Scry calls an event, if it is one that
 * the tool wants; what it answers is in *state->vcpu.
 */
void kvmi_event(struct kvmi_state *state, const struct scry_event *event);

/* The same of the exception that is about to be injected for it. */
void kvmi_event_trap(struct kvmi_state *state);

/*
 * Ask, and do what every kind of event has in common.  False: nothing is left to do.
 * For what tells of an event itself.
 */
bool kvmi_event_ask(struct kvmi_state *state, enum kvmi_event event, const void *part, size_t size);

#endif
