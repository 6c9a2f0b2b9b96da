/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "dump.h"

/* In front of each range, until the file's end. */
struct lime_header {
	uint32_t magic;			/* "EMiL" */
	uint32_t version;		/* 1 */
	uint64_t first, last;		/* last: of the last byte */
	uint64_t reserved;
};

#define LIME_MAGIC 0x4c694d45u

static int check(const struct dump_vm *d, const struct lime_header *h, uint64_t offset)
{
	if (h->magic != LIME_MAGIC || h->last < h->first || h->last == UINT64_MAX)
		return scry_fail(SCRY_E_INVAL, "%s is malformed: there is no header of LiME at offset "
				 "0x%" PRIx64, d->file.path, offset);
	if (h->version != 1)
		return scry_fail(SCRY_E_INVAL, "%s is of version %u of LiME's format: only 1 is known",
				 d->file.path, h->version);
	return 0;
}

int dump_parse_lime(struct dump_vm *d)
{
	struct lime_header h;
	uint64_t offset = 0, size;
	int ret = 0;

	d->format = "LiME";
	while (!ret && offset < d->file.size) {
		ret = dump_file_read(&d->file, offset, &h, sizeof(h));
		if (!ret)
			ret = check(d, &h, offset);
		if (ret < 0)
			break;
		offset += sizeof(h);
		size = h.last - h.first + 1;
		ret = dump_add_piece(d, h.first, size, offset);
		if (size > d->file.size - offset)
			break;
		offset += size;
	}
	return ret;
}
