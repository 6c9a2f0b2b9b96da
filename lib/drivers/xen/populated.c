/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "bits.h"
#include "events.h"

/*
 * Which guest frames are there.  Xen says of each whether it is, a thousand in a call,
 * and of the domain how many they are.  A domain of 64 MiB has its last frame below
 * 4 GiB, so not all can be asked for: first one frame of each chunk of 2 MiB, then all
 * of the chunks that have it; and only if that does not find them all, more.
 */

/* Frames that are looked at, of a domain of so many pages: 8 GiB, and 16 times its size. */
#define FRAMES_MIN    UINT64_C(0x200000)
#define FRAMES_A_PAGE 16

#define BATCH 1024u	/* frames that Xen takes in one call */
#define CHUNK 512u

#define LAST_SPECIAL UINT64_C(0xfefff)	/* of those that Xen and the tools put below 4 GiB */

struct search {
	struct xen_vm *x;
	uint64_t frames;	/* of the domain, from 0 on */
	uint64_t *present;	/* a bit each */
	uint64_t *seen;		/* a bit for each chunk: all of it is known */
	uint64_t found;
	size_t count;		/* gathered for the next call */
	bool whole;		/* they are of whole chunks */
	uint64_t hits;		/* chunks to look at, found by this round */
	xen_pfn_t gfn[BATCH], type[BATCH];
};

bool xen_frame_is_there(xen_pfn_t type)
{
	type &= XEN_DOMCTL_PFINFO_LTAB_MASK;
	return type != XEN_DOMCTL_PFINFO_XTAB && type != XEN_DOMCTL_PFINFO_XALLOC &&
	       type != XEN_DOMCTL_PFINFO_BROKEN;
}

/* Ask for what has been gathered. */
static int ask(struct search *s)
{
	size_t count = s->count;

	if (!count)
		return 0;
	s->count = 0;
	memcpy(s->type, s->gfn, count * sizeof(s->gfn[0]));
	if (XEN_CALL(s->x, xc_get_pfn_type_batch, (unsigned)count, s->type) < 0)
		return xen_failed(s->x, "find out which of its memory is there");
	for (size_t i = 0; i < count; i++)
		if (xen_frame_is_there(s->type[i]) && !test_bit(s->present, s->gfn[i])) {
			set_bit(s->present, s->gfn[i]);
			s->found++;
		}
	return 0;
}

static int want(struct search *s, uint64_t gfn)
{
	s->gfn[s->count++] = gfn;
	return s->count == BATCH ? ask(s) : 0;
}

static uint64_t chunk_end(const struct search *s, uint64_t chunk)
{
	uint64_t end = (chunk + 1) * CHUNK;

	return end < s->frames ? end : s->frames;
}

/* One frame in each `stride` of the chunks that are not known. */
static int sample(struct search *s, uint64_t stride)
{
	for (uint64_t c = 0; c * CHUNK < s->frames; c++)
		for (uint64_t gfn = c * CHUNK; !test_bit(s->seen, c) && gfn < chunk_end(s, c);
		     gfn += stride) {
			int ret = want(s, gfn);

			if (ret < 0)
				return ret;
		}
	return ask(s);
}

static bool has_any(const struct search *s, uint64_t chunk)
{
	for (uint64_t word = chunk * CHUNK / 64; word < (chunk + 1) * CHUNK / 64; word++)
		if (s->present[word])
			return true;
	return false;
}

/* Of a chunk that has any: how many frames may be there besides. */
static uint64_t unknown(const struct search *s, uint64_t chunk)
{
	uint64_t sum = 0;

	if (test_bit(s->seen, chunk) || !has_any(s, chunk))
		return 0;
	for (uint64_t gfn = chunk * CHUNK; gfn < chunk_end(s, chunk); gfn++)
		sum += !test_bit(s->present, gfn);
	return sum;
}

static int ask_chunk(struct search *s, uint64_t chunk)
{
	set_bit(s->seen, chunk);
	for (uint64_t gfn = chunk * CHUNK; gfn < chunk_end(s, chunk); gfn++) {
		int ret = want(s, gfn);

		if (ret < 0)
			return ret;
	}
	return ask(s);
}

static void fill_chunk(struct search *s, uint64_t chunk)
{
	set_bit(s->seen, chunk);
	for (uint64_t gfn = chunk * CHUNK; gfn < chunk_end(s, chunk); gfn++)
		if (!test_bit(s->present, gfn)) {
			set_bit(s->present, gfn);
			s->found++;
		}
}

/*
 * All of the chunks of which a frame is there.  As soon as there are as many unknown
 * frames as are missing, they are all there (or fail to be mapped); so begin where
 * a domain has its holes: at the end, and in its first MiB.
 */
static int complete(struct search *s, uint64_t pages)
{
	uint64_t chunks = (s->frames + CHUNK - 1) / CHUNK, left = 0;
	int ret = 0;

	for (uint64_t c = 0; c < chunks; c++)
		left += unknown(s, c);
	for (uint64_t i = 0; !ret && i < chunks; i++) {
		uint64_t c = i == 0 ? chunks - 1 : i == 1 ? 0 : chunks - i;
		uint64_t here = unknown(s, c);

		if (here && s->found + left == pages)
			fill_chunk(s, c);
		else if (here)
			ret = ask_chunk(s, c);
		left -= here;
	}
	return ret;
}

static int search(struct search *s, uint64_t pages)
{
	/* The last frame is there, and those before it may not begin a chunk; so Xen's pages. */
	int ret = want(s, s->frames - 1);

	if (!ret && s->frames > LAST_SPECIAL)
		ret = want(s, LAST_SPECIAL);
	for (uint64_t stride = CHUNK; !ret && stride && s->found < pages; stride /= 8) {
		ret = sample(s, stride);
		if (!ret)
			ret = complete(s, pages);
	}
	return ret;
}

/* The next run of frames from *gfn on. */
static bool next_range(const struct search *s, uint64_t *gfn, struct xen_range *range)
{
	while (*gfn < s->frames && !test_bit(s->present, *gfn))
		*gfn += s->present[*gfn / 64] ? 1 : 64 - *gfn % 64;
	range->gfn = *gfn;
	while (*gfn < s->frames && test_bit(s->present, *gfn))
		++*gfn;
	range->count = *gfn - range->gfn;
	return range->count;
}

static int to_ranges(const struct search *s, struct xen_range **ranges, size_t *count)
{
	struct xen_range range;
	size_t n = 0, i = 0;

	for (uint64_t gfn = 0; next_range(s, &gfn, &range);)
		n++;
	*ranges = calloc(n ? n : 1, sizeof(**ranges));
	if (!*ranges)
		return scry_fail(SCRY_E_NOMEM, "out of memory for the memory map");
	for (uint64_t gfn = 0; next_range(s, &gfn, &range);)
		(*ranges)[i++] = range;
	*count = n;
	return 0;
}

/* Not the ring's page: as long as it is mapped it is the domain's, but no frame. */
static uint64_t with_frame(const struct xen_vm *x, uint64_t pages)
{
	return pages && x->events && x->events->page ? pages - 1 : pages;
}

int xen_populated(struct xen_vm *x, struct xen_range **ranges, size_t *count)
{
	struct search *s = calloc(1, sizeof(*s));
	struct xen_domain domain = { .pages = 0 };
	xen_pfn_t last = 0;
	uint64_t most;
	int ret;

	if (!s)
		return scry_fail(SCRY_E_NOMEM, "out of memory for the memory map");
	s->x = x;
	ret = xen_domain_next(&x->host, x->domid, &domain);
	if (ret >= 0)
		ret = XEN_CALL(x, xc_domain_maximum_gpfn, &last) < 0 ?
		      xen_failed(x, "find its last frame") : 0;
	/* The guest chooses where its last frame is: it is not to choose how long this takes. */
	most = FRAMES_MIN + FRAMES_A_PAGE * domain.pages;
	s->frames = last < most ? last + 1 : most;
	s->present = calloc(s->frames / CHUNK + 1, CHUNK / 8);
	s->seen = calloc(s->frames / CHUNK / 64 + 1, 8);
	if (!ret && (!s->present || !s->seen))
		ret = scry_fail(SCRY_E_NOMEM, "out of memory for the memory map");
	if (!ret)
		ret = search(s, with_frame(x, domain.pages));
	if (!ret)
		ret = to_ranges(s, ranges, count);
	free(s->present);
	free(s->seen);
	free(s);
	return ret;
}
