/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_RUNDIR_H
#define SCRY_RUNDIR_H

#include <stddef.h>

/*
 * The folder of the agents' sockets, NAME.sock each: $SCRY_RUNTIME_DIR, else
 * /run/scry for root, else $XDG_RUNTIME_DIR/scry, else /tmp/scry-UID.  Returns
 * the length, or -1 if it does not fit.
 */
int scry_rundir(char *path, size_t size);

/* Is it a folder of this user's, writable by nobody else?  0 or -errno. */
int scry_rundir_check(const char *path);

/* Make it (0700) if it is not there, and check it.  0 or -errno. */
int scry_rundir_make(const char *path);

#endif
