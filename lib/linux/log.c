/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The kernel's log: a ring of descriptors, each with a number that only grows, and a
 * ring of their texts (kernel/printk/printk_ringbuffer.h of Linux).
 */
#include <stdlib.h>
#include <string.h>

#include "os.h"

#define STATE_SHIFT  62
#define ID_MASK      ((UINT64_C(1) << STATE_SHIFT) - 1)
#define COMMITTED    1
#define FINALIZED    2
#define NO_TEXT      1		/* set in lpos of a record that has none */
#define BITS_MOST    25u

struct ring {
	struct scry_linux *os;
	uint64_t descs, infos, data;
	uint64_t count, data_size;	/* powers of two */
	uint64_t head, tail;
	char *text;
};

static int bits_to_size(uint64_t bits, uint64_t ring, uint64_t *size)
{
	if (bits < 3 || bits > BITS_MOST)
		return os_damaged("the log", ring);
	*size = UINT64_C(1) << bits;
	return 0;
}

static int ring_read(struct ring *r, uint64_t gva)
{
	struct scry_linux *os = r->os;
	uint64_t descs = os_at(os, gva, OS_PRB_DESC_RING), text = os_at(os, gva, OS_PRB_TEXT_RING), bits;
	int ret = os_get(os, descs, OS_RING_COUNT_BITS, &bits);

	if (!ret)
		ret = bits_to_size(bits, gva, &r->count);
	if (!ret)
		ret = os_get(os, text, OS_DATA_SIZE_BITS, &bits);
	if (!ret)
		ret = bits_to_size(bits, gva, &r->data_size);
	if (!ret)
		ret = os_get(os, descs, OS_RING_DESCS, &r->descs);
	if (!ret)
		ret = os_get(os, descs, OS_RING_INFOS, &r->infos);
	if (!ret)
		ret = os_get(os, descs, OS_RING_HEAD, &r->head);
	if (!ret)
		ret = os_get(os, descs, OS_RING_TAIL, &r->tail);
	return ret < 0 ? ret : os_get(os, text, OS_DATA_DATA, &r->data);
}

/* Where a record's text lies, and the most that it can have; false: it has none. */
static bool place_of(const struct ring *r, uint64_t begin, uint64_t next, uint64_t *at, uint64_t *most)
{
	uint64_t mask = r->data_size - 1;

	if (begin & NO_TEXT || next & NO_TEXT)
		return false;
	*at = begin & mask;
	/* What would be cut by the ring's end is at its beginning. */
	if ((begin & ~mask) != (next & ~mask) && next & mask)
		*at = 0;
	*most = (next & mask) > *at ? (next & mask) - *at : r->data_size - *at;
	/* Its number stands before it. */
	if (*most < 8 || *at + *most > r->data_size)
		return false;
	*at += 8;
	*most -= 8;
	return true;
}

static int read_text(const struct ring *r, uint64_t desc, uint64_t len, size_t *length)
{
	uint64_t begin, next, at, most;
	int ret = os_get(r->os, desc, OS_DESC_BEGIN, &begin);

	*length = 0;
	r->text[0] = 0;
	if (!ret)
		ret = os_get(r->os, desc, OS_DESC_NEXT, &next);
	if (ret < 0 || !place_of(r, begin, next, &at, &most))
		return ret;
	len = len < most ? len : most;
	ret = os_read(r->os, r->data + at, r->text, len);
	if (ret < 0)
		return ret;
	*length = len;
	r->text[len] = 0;
	return 0;
}

static int visit_record(const struct ring *r, uint64_t id, scry_linux_record_fn fn, void *opaque)
{
	struct scry_linux *os = r->os;
	uint64_t i = id & (r->count - 1), desc = r->descs + i * os->member[OS_DESC].type_size;
	uint64_t info = r->infos + i * os->member[OS_INFO_SEQ].type_size, state, len, level, facility;
	struct scry_linux_record record = { .text = r->text };
	int ret = os_get(os, desc, OS_DESC, &state);

	if (ret < 0)
		return ret;
	/* Being written, or written over: it is none. */
	if ((state & ID_MASK) != (id & ID_MASK) ||
	    (state >> STATE_SHIFT != COMMITTED && state >> STATE_SHIFT != FINALIZED))
		return 0;
	ret = os_get(os, info, OS_INFO_SEQ, &record.sequence);
	if (!ret)
		ret = os_get(os, info, OS_INFO_TIME, &record.time_ns);
	if (!ret)
		ret = os_get(os, info, OS_INFO_LEN, &len);
	if (!ret)
		ret = os_get(os, info, OS_INFO_LEVEL, &level);
	if (!ret)
		ret = os_get(os, info, OS_INFO_FACILITY, &facility);
	if (!ret)
		ret = read_text(r, desc, len & 0xffff, &record.length);
	if (ret < 0)
		return ret;
	record.level = (uint8_t)level;
	record.facility = (uint8_t)facility;
	return fn(&record, opaque);
}

int scry_linux_log(struct scry_linux *os, scry_linux_record_fn fn, void *opaque)
{
	struct ring r = { .os = os };
	uint64_t at, gva;
	int ret = os_symbol(os, "prb", &at);

	if (!ret)
		ret = os_need(os, OS_PRB_DESC_RING);
	if (!ret)
		ret = os_need(os, OS_PRB_TEXT_RING);
	if (!ret)
		ret = os_u64(os, at, &gva);
	if (!ret)
		ret = ring_read(&r, gva);
	if (ret < 0)
		return ret;
	r.text = malloc(65536);
	if (!r.text)
		return scry_fail(SCRY_E_NOMEM, "out of memory for the guest's log");
	for (uint64_t n = 0; !ret && n < r.count && ((r.head - r.tail - n) & ID_MASK) < r.count; n++)
		ret = visit_record(&r, r.tail + n, fn, opaque);
	free(r.text);
	return ret;
}
