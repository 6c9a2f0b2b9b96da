/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/message.h"
#include "sink.h"

int sink_open(struct sink *sink, struct outfile *file, bool zstd)
{
	*sink = (struct sink){ .file = file, .zstd = zstd ? sink_zstd_new() : NULL };
	return 0;
}

static int failed(struct sink *sink)
{
	return fail("cannot write %s: %s", sink->file->path, strerror(errno));
}

/* What is no regular file (outfile.h) has no holes. */
static int write_zeros(struct sink *sink, uint64_t len)
{
	static const char zeros[65536];
	int ret = 0;

	for (; !ret && len; len -= len < sizeof(zeros) ? len : sizeof(zeros))
		ret = outfile_write(sink->file, zeros, len < sizeof(zeros) ? len : sizeof(zeros));
	return ret;
}

static int pass_hole(struct sink *sink)
{
	uint64_t hole = sink->hole;

	sink->hole = 0;
	if (!hole)
		return 0;
	if (!sink->file->whole)
		return write_zeros(sink, hole);
	return lseek(sink->file->fd, (off_t)hole, SEEK_CUR) < 0 ? failed(sink) : 0;
}

int sink_write(struct sink *sink, const void *buf, size_t len)
{
	int ret;

	sink->at += len;
	if (sink->zstd)
		return sink_zstd_write(sink, buf, len);
	sink->written += len;
	ret = pass_hole(sink);
	return ret ? ret : outfile_write(sink->file, buf, len);
}

int sink_zero(struct sink *sink, uint64_t len)
{
	sink->at += len;
	if (sink->zstd)
		return sink_zstd_write(sink, NULL, len);
	sink->hole += len;
	return 0;
}

int sink_finish(struct sink *sink)
{
	if (sink->zstd)
		return sink_zstd_finish(sink);
	/* A hole at the end must be made by the file's length. */
	if (sink->hole && sink->file->whole)
		return ftruncate(sink->file->fd, (off_t)sink->at) < 0 ? failed(sink) : 0;
	return pass_hole(sink);
}

void sink_close(struct sink *sink)
{
	sink_zstd_free(sink->zstd);
	sink->zstd = NULL;
}
