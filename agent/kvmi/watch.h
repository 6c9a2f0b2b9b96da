/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVMI_WATCH_H
#define AGENT_KVMI_WATCH_H

#include "state.h"

/* Can QEMU's accelerator tell of it at all? */
bool kvmi_can_watch(enum kvmi_event event);

/*
 * In the vCPU's thread: what the tool wants to be told of has changed; it is so from
 * here on.  0, or an error negated.
 */
int kvmi_watch(struct kvmi_state *state);

#endif
