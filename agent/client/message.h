/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_MESSAGE_H
#define AGENT_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

/* Send one message, with files.  0, or -1 if the peer does not take it. */
int message_send(int fd, const void *message, size_t len, const int *files, uint32_t count);

/* Answer a request with a failure: SCRY_E_... and a sentence. */
int message_fail(int fd, uint32_t type, int status, const char *text);

#endif
