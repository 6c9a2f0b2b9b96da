/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_COMMAND_H
#define AGENT_COMMAND_H

#include "slot.h"

/* Carry out a command in the vCPU's own thread: struct slot_ops.command. */
int command_run(void *vcpu, const struct slot_command *command, struct scry_agent_slot *mem);

#endif
