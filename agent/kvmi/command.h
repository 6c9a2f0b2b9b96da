/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVMI_COMMAND_H
#define AGENT_KVMI_COMMAND_H

#include "state.h"

/* In the vCPU's thread: a message of the tool to it, a command or the reply to an event. */
void kvmi_command(struct kvmi_state *state, const struct kvmi_mail *mail);

#endif
