/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVMI_SERVE_H
#define AGENT_KVMI_SERVE_H

#include "state.h"

/* vCPUs that serve a KVMI tool. */
extern const struct client_ops kvmi_client;

/*
 * In the vCPU's thread: tell of an event, with its own part, and serve the tool until
 * it has answered; then the registers that it set are set.  False if it is gone.
 */
bool kvmi_ask(struct kvmi_state *state, enum kvmi_event event, const void *part, size_t size);

/* The same: have the service do this, and wait.  False if the tool is gone. */
bool kvmi_have_done(struct kvmi_state *state, void (*task)(struct kvmi_state *state));

/* The service: do what vCPUs ask for. */
void kvmi_do_tasks(void);

/* The service: send a message to the vCPU's thread.  -1 = there are too many. */
int kvmi_post(struct kvmi_state *state, const struct kvmi_header *header, const void *payload,
	      bool silent, bool tells_errors);

/*
 * The service: one more pause; wait = until the vCPU executes no guest code.  False if it
 * has not come to that for long: it may be in a device, or have no processor.
 */
bool kvmi_pause(struct kvmi_state *state, bool wait);

#endif
