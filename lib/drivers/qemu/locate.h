/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_QEMU_LOCATE_H
#define SCRY_QEMU_LOCATE_H

#include <stddef.h>

#include "connection.h"

/*
 * Find the socket of the VM that a URI's address names: a path as it is, else
 * NAME.sock in the agents' folder, else, for a number, the VM of that PID.
 */
int qemu_locate(const char *address, char *path, size_t size);

/* Ask one agent who it is, giving up after a second. */
int qemu_ask(const char *path, struct scry_agent_welcome *welcome);

/*
 * Call fn with each socket's path and name (without ".sock") until it returns
 * non-zero, which is then returned.
 */
int qemu_each_socket(int (*fn)(const char *path, const char *name, void *opaque), void *opaque);

#endif
