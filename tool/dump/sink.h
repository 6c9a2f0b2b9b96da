/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_DUMP_SINK_H
#define TOOL_DUMP_SINK_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/outfile.h"

/*
 * Where a dump goes: zeros become holes of a file, and are written to what has none
 * (a pipe); or everything is compressed, in Zstandard's seekable format.
 */
struct sink {
	struct outfile *file;
	uint64_t at;		/* bytes of the dump so far */
	uint64_t written;	/* bytes that the file got */
	uint64_t hole;		/* zeros that are not written yet */
	struct sink_zstd *zstd;	/* or NULL */
};

/* Each returns 0, or EXIT_FAILURE with the reason said. */
int sink_open(struct sink *sink, struct outfile *file, bool zstd);
int sink_write(struct sink *sink, const void *buf, size_t len);
int sink_zero(struct sink *sink, uint64_t len);
int sink_finish(struct sink *sink);
void sink_close(struct sink *sink);	/* after failures, too */

/* zstd.c: the same for what is compressed. */
struct sink_zstd *sink_zstd_new(void);
int sink_zstd_write(struct sink *sink, const void *buf, size_t len);	/* NULL = zeros */
int sink_zstd_finish(struct sink *sink);
void sink_zstd_free(struct sink_zstd *z);

#endif
