/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "../../lib/drivers/dump/format.h"
#include "../common/message.h"
#include "sink.h"

#define LEVEL 1		/* a dump is to be there soon */

struct sink_zstd {
	ZSTD_CCtx *context;
	unsigned char *frame, *packed;
	size_t filled, room;		/* of frame; of packed */
	struct dump_zstd_entry *table;
	uint32_t frames;
};

struct sink_zstd *sink_zstd_new(void)
{
	struct sink_zstd *z = checked(calloc(1, sizeof(*z)));

	z->room = ZSTD_compressBound(DUMP_ZSTD_FRAME);
	z->context = checked(ZSTD_createCCtx());
	z->frame = checked(malloc(DUMP_ZSTD_FRAME));
	z->packed = checked(malloc(z->room));
	return z;
}

void sink_zstd_free(struct sink_zstd *z)
{
	if (!z)
		return;
	ZSTD_freeCCtx(z->context);
	free(z->frame);
	free(z->packed);
	free(z->table);
	free(z);
}

static int put(struct sink *sink, const void *buf, size_t len)
{
	sink->written += len;
	return outfile_write(sink->file, buf, len);
}

static int end_frame(struct sink *sink)
{
	struct sink_zstd *z = sink->zstd;
	size_t len = ZSTD_compressCCtx(z->context, z->packed, z->room, z->frame, z->filled, LEVEL);

	if (ZSTD_isError(len))
		return fail("cannot compress the dump: %s", ZSTD_getErrorName(len));
	if (!(z->frames & 1023))
		z->table = checked(reallocarray(z->table, z->frames + 1024, sizeof(z->table[0])));
	z->table[z->frames++] = (struct dump_zstd_entry){ (uint32_t)len, (uint32_t)z->filled };
	z->filled = 0;
	return put(sink, z->packed, len);
}

int sink_zstd_write(struct sink *sink, const void *buf, size_t len)
{
	struct sink_zstd *z = sink->zstd;
	int ret = 0;

	while (!ret && len) {
		size_t room = DUMP_ZSTD_FRAME - z->filled, n = len < room ? len : room;

		if (buf)
			memcpy(z->frame + z->filled, buf, n);
		else
			memset(z->frame + z->filled, 0, n);
		buf = buf ? (const char *)buf + n : NULL;
		len -= n;
		z->filled += n;
		if (z->filled == DUMP_ZSTD_FRAME)
			ret = end_frame(sink);
	}
	return ret;
}

int sink_zstd_finish(struct sink *sink)
{
	struct sink_zstd *z = sink->zstd;
	int ret = z->filled ? end_frame(sink) : 0;
	size_t table = z->frames * sizeof(z->table[0]);
	const struct dump_zstd_footer footer = { .frames = z->frames, .magic = DUMP_ZSTD_TABLE_END };
	const uint32_t header[2] = { DUMP_ZSTD_SKIPPABLE, (uint32_t)(table + sizeof(footer)) };

	if (!ret)
		ret = put(sink, header, sizeof(header));
	if (!ret)
		ret = put(sink, z->table, table);
	return ret ? ret : put(sink, &footer, sizeof(footer));
}
