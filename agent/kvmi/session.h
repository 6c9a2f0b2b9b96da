/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVMI_SESSION_H
#define AGENT_KVMI_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/kvmi.h"

/* All by the service thread, which does the commands to the VM itself. */

/* Once. */
void kvmi_session_init(void);

/* A tool has come, which has been greeted; it is gone. */
void kvmi_session_begin(void);
void kvmi_session_end(void);

/* vCPUs have been plugged in. */
void kvmi_session_plug(void);

/* Ask it to let go.  False if it does not want to be asked. */
bool kvmi_session_unhook(void);

/* Is it for a vCPU's thread? */
bool kvmi_session_is_to_vcpu(const struct kvmi_header *header);

/* A message of the tool; one for a vCPU also by another thread.  -1 = hang up. */
int kvmi_session_message(const struct kvmi_header *header, const uint8_t *payload);

#endif
