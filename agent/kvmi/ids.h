/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVMI_IDS_H
#define AGENT_KVMI_IDS_H

#include <stdbool.h>

#include "protocol/kvmi.h"

/* The command or event of that number which the kernel of a generation has, or KVMI_NONE. */
int kvmi_command_of(enum kvmi_generation generation, uint16_t id);
int kvmi_event_of(enum kvmi_generation generation, uint16_t id);

/* Its number; it has one. */
uint16_t kvmi_event_id(enum kvmi_generation generation, enum kvmi_event event);

/* Is the command for a vCPU's own thread? */
bool kvmi_is_vcpus(enum kvmi_command command);

/* Enabled by VM_CONTROL_EVENTS? */
bool kvmi_is_vm_event(enum kvmi_event event);

/* May the tool use it, by the options? */
bool kvmi_command_allowed(enum kvmi_command command);
bool kvmi_event_allowed(enum kvmi_event event);

/* What CHECK_COMMAND and CHECK_EVENT answer: 0 or an error negated. */
int kvmi_check_command(enum kvmi_generation generation, uint16_t id);
int kvmi_check_event(enum kvmi_generation generation, uint16_t id);

#endif
