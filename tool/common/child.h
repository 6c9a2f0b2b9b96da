/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_CHILD_H
#define TOOL_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* A program that was started, its stdout and stderr on one pipe. */
struct child {
	pid_t pid;	/* 0 = none, or it was waited for */
	int fd;		/* read end of the pipe, non-blocking; -1 = none */
	int in;		/* what is written here it reads on stdin; -1 = nothing */
	int status;	/* as of waitpid(), once pid is 0 */
};

/*
 * Start argv[0], found by PATH.  It is killed when this program dies, however
 * that is.  0 or -errno.
 */
enum child_input { CHILD_NO_INPUT, CHILD_INPUT };
int child_start(struct child *child, char *const argv[], enum child_input input);

/* Has it ended? */
bool child_ended(struct child *child);

/* Ask it to end, make it end after two seconds, and release all. */
void child_end(struct child *child);

/*
 * Wait at most ms for output, and read it: bytes read, 0 = none yet, -1 = no
 * more will come.
 */
ssize_t child_read(struct child *child, char *buf, size_t size, int ms);

#endif
