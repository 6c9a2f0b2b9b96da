/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_OUTFILE_H
#define TOOL_OUTFILE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * A file that appears only when it is complete: written without a name, or where
 * the file system has no such files beside its place under another name, and put
 * there at the end.  What is there and is no regular file (a pipe, a device), and
 * stdout, is written to directly.
 */
struct outfile {
	int fd;
	char *path;	/* as messages name it */
	bool whole;	/* a regular file, which appears when it is complete */
	char *temporary;	/* its name until then; NULL = none */
	bool ends_on_stop;	/* to be set once open: stop_asked() ends a write, to a stalled pipe, too */
};

/* Each returns 0, or EXIT_FAILURE with the reason said.  path NULL = stdout. */
int outfile_open(struct outfile *file, const char *path);
int outfile_write(struct outfile *file, const void *buf, size_t len);
int outfile_commit(struct outfile *file);

/* Instead of outfile_commit(): leaves nothing behind. */
void outfile_abandon(struct outfile *file);

#endif
