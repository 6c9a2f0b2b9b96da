/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_ATTACH_H
#define AGENT_ATTACH_H

#include <stdbool.h>

/* From qemu_plugin_install(): false = the agent is in this QEMU already. */
bool attach_is_plugin(void);

#endif
