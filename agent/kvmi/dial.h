/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVMI_DIAL_H
#define AGENT_KVMI_DIAL_H

#include <stddef.h>

/*
 * Connect to the tool, if it is one that may have this VM.  The socket, or -1; then why[]
 * has a sentence unless there is just nobody yet.
 */
int kvmi_dial(char *why, size_t size);

#endif
