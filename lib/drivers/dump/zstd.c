/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "dump.h"

/* A frame is decompressed whole: no file may ask for more memory than that. */
#define FRAME_MOST (8u << 20)
#define ENTRY_MOST (sizeof(struct dump_zstd_entry) + 4)	/* with a check sum */
#define BATCH      2048		/* entries of the table, read at once */
#define KEPT       16		/* decompressed frames, the least used goes */

struct frame {
	uint64_t at;		/* of its first byte, decompressed */
	uint64_t offset;	/* in the file */
	uint32_t size, compressed;
};

struct kept {
	uint32_t frame;
	uint64_t used;		/* 0 = empty */
	unsigned char *bytes;
};

struct dump_zstd {
	pthread_mutex_t lock;	/* all below but frames */
	ZSTD_DCtx *context;
	unsigned char *packed;	/* of the largest frame */
	uint64_t uses;
	struct kept kept[KEPT];
	uint32_t largest;
	uint32_t count;
	struct frame *frame;
};

static int malformed(const struct dump_file *file)
{
	return scry_fail(SCRY_E_INVAL, "%s is malformed: its table of frames does not fit it",
			 file->path);
}

static int read_footer(struct dump_file *file, struct dump_zstd_footer *footer, size_t *entry)
{
	int ret;

	memset(footer, 0, sizeof(*footer));
	ret = file->size < sizeof(*footer) ? 0 :
		dump_file_pread(file, file->size - sizeof(*footer), footer, sizeof(*footer));
	if (ret < 0)
		return ret;
	if (footer->magic != DUMP_ZSTD_TABLE_END)
		return scry_fail(SCRY_E_INVAL, "%s is compressed in one piece, so that nothing in it can "
				 "be found, or it was cut short: decompress it by zstd -d (what scry "
				 "dump --zstd makes whole need not be)", file->path);
	*entry = footer->descriptor & 0x80 ? ENTRY_MOST : sizeof(struct dump_zstd_entry);
	if (!footer->frames || footer->frames > (file->size - sizeof(*footer)) / *entry)
		return malformed(file);
	return 0;
}

/* One frame more, behind those before, which have so many bytes in the core and in the file. */
static int add_frame(struct dump_file *file, struct dump_zstd *z, const unsigned char *entry,
		     uint64_t *at, uint64_t *offset)
{
	struct dump_zstd_entry e;

	memcpy(&e, entry, sizeof(e));
	if (!e.decompressed || e.decompressed > FRAME_MOST ||
	    e.compressed > file->size - *offset ||
	    e.compressed > ZSTD_compressBound(FRAME_MOST))
		return malformed(file);
	z->frame[z->count++] = (struct frame){ *at, *offset, e.decompressed, e.compressed };
	if (e.compressed > z->largest)
		z->largest = e.compressed;
	*at += e.decompressed;
	*offset += e.compressed;
	return 0;
}

static int no_memory(const struct dump_file *file)
{
	return scry_fail(SCRY_E_NOMEM, "out of memory for the dump %s", file->path);
}

static int make_room(const struct dump_file *file, struct dump_zstd *z, uint64_t count)
{
	struct frame *more = reallocarray(z->frame, count, sizeof(*more));

	if (!more)
		return no_memory(file);
	z->frame = more;
	return 0;
}

/*
 * Sum up the table, `entry` bytes a frame: where each frame is.  Not in one piece: of a
 * small file it may be a hole that is larger than all memory.
 */
static int fill(struct dump_file *file, struct dump_zstd *z, uint32_t frames, size_t entry,
		uint64_t *size)
{
	uint64_t table = file->size - sizeof(struct dump_zstd_footer) - frames * entry;
	uint64_t at = 0, offset = 0;
	unsigned char batch[BATCH * ENTRY_MOST];

	while (z->count < frames) {
		uint32_t n = frames - z->count < BATCH ? frames - z->count : BATCH;
		int ret = dump_file_pread(file, table + z->count * entry, batch, n * entry);

		if (!ret)
			ret = make_room(file, z, (uint64_t)z->count + n);
		for (uint32_t i = 0; !ret && i < n; i++)
			ret = add_frame(file, z, batch + i * entry, &at, &offset);
		if (ret < 0)
			return ret;
	}
	*size = at;
	z->packed = malloc(z->largest ? z->largest : 1);
	z->context = ZSTD_createDCtx();
	return z->packed && z->context ? 0 : no_memory(file);
}

struct dump_zstd *dump_zstd_open(struct dump_file *file, uint64_t *size, int *err)
{
	struct dump_zstd_footer footer;
	struct dump_zstd *z;
	size_t entry = 0;

	*err = read_footer(file, &footer, &entry);
	if (*err < 0)
		return NULL;
	z = calloc(1, sizeof(*z));
	if (!z) {
		*err = no_memory(file);
		return NULL;
	}
	pthread_mutex_init(&z->lock, NULL);
	*err = fill(file, z, footer.frames, entry, size);
	if (!*err)
		return z;
	dump_zstd_close(z);
	return NULL;
}

void dump_zstd_close(struct dump_zstd *z)
{
	if (!z)
		return;
	for (int i = 0; i < KEPT; i++)
		free(z->kept[i].bytes);
	ZSTD_freeDCtx(z->context);
	free(z->packed);
	free(z->frame);
	pthread_mutex_destroy(&z->lock);
	free(z);
}

static uint32_t frame_at(const struct dump_zstd *z, uint64_t at)
{
	uint32_t low = 0, high = z->count;

	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;

		if (z->frame[middle].at <= at)
			low = middle;
		else
			high = middle;
	}
	return low;
}

static int decompress(struct dump_file *file, uint32_t number, struct kept *k)
{
	struct dump_zstd *z = file->zstd;
	const struct frame *f = &z->frame[number];
	unsigned char *bytes = realloc(k->bytes, f->size);
	int ret;

	if (!bytes)
		return no_memory(file);
	k->bytes = bytes;
	k->used = 0;
	ret = dump_file_pread(file, f->offset, z->packed, f->compressed);
	if (ret < 0)
		return ret;
	if (ZSTD_decompressDCtx(z->context, bytes, f->size, z->packed, f->compressed) != f->size)
		return scry_fail(SCRY_E_IO, "%s is damaged: the frame at offset 0x%" PRIx64
				 " cannot be decompressed", file->path, f->offset);
	k->frame = number;
	return 0;
}

/* The frame's bytes, decompressed if they are not at hand; called with the lock held. */
static int frame_bytes(struct dump_file *file, uint32_t number, const unsigned char **bytes)
{
	struct dump_zstd *z = file->zstd;
	struct kept *k = &z->kept[0];

	for (int i = 0; i < KEPT; i++) {
		if (z->kept[i].used && z->kept[i].frame == number) {
			k = &z->kept[i];
			break;
		}
		if (z->kept[i].used < k->used)
			k = &z->kept[i];
	}
	if (!k->used || k->frame != number) {
		int ret = decompress(file, number, k);

		if (ret < 0)
			return ret;
	}
	k->used = ++z->uses;
	*bytes = k->bytes;
	return 0;
}

int dump_zstd_read(struct dump_file *file, uint64_t offset, void *buf, size_t len)
{
	struct dump_zstd *z = file->zstd;
	int ret = 0;

	pthread_mutex_lock(&z->lock);
	while (!ret && len) {
		uint32_t number = frame_at(z, offset);
		size_t skip = (size_t)(offset - z->frame[number].at);
		size_t n = z->frame[number].size - skip;
		const unsigned char *bytes;

		n = len < n ? len : n;
		ret = frame_bytes(file, number, &bytes);
		if (ret < 0)
			break;
		memcpy(buf, bytes + skip, n);
		buf = (char *)buf + n;
		offset += n;
		len -= n;
	}
	pthread_mutex_unlock(&z->lock);
	return ret;
}
