/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Dumps with some of their bytes changed, cut at some place, or the like, always the
 * same ones: each is opened and asked for everything, or refused with a sentence.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hostile.h"
#include "make.h"

#define ROUNDS 1500

static uint64_t state = 0x9e3779b97f4a7c15;

static uint64_t next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static const uint64_t extremes[] = { 0, 1, 0xffff, 0x7fffffff, 0xffffffff, UINT64_MAX,
				     UINT64_MAX - 4095, INT64_MAX, 4096, 0x1000000000000 };

/* Mostly in what is parsed: the first bytes, and the last ones of a table at the end. */
static size_t place(const struct bytes *b)
{
	uint64_t r = next();
	size_t near = b->size < 2600 ? b->size : 2600;

	switch (r & 3) {
	case 0:
		return (r >> 8) % b->size;
	case 1:
		return b->size - 1 - (r >> 8) % (b->size < 400 ? b->size : 400);
	default:
		return (r >> 8) % near;
	}
}

static void mutate(struct bytes *b)
{
	for (int n = 1 + (int)(next() % 4); n; n--) {
		size_t at = place(b), room = b->size - at;
		uint64_t value = extremes[next() % (sizeof(extremes) / sizeof(extremes[0]))];
		size_t len = (size_t)1 << next() % 4;

		if (next() % 3 == 0)
			b->data[at] ^= (unsigned char)(1u << next() % 8);
		else
			memcpy(b->data + at, &value, len < room ? len : room);
	}
	if (next() % 8 == 0)
		b->size = place(b) + 1;
}

static unsigned torment(const struct bytes *seed)
{
	struct bytes b = { malloc(seed->size), seed->size };
	unsigned taken = 0;

	for (int i = 0; b.data && i < ROUNDS; i++) {
		int fd;

		memcpy(b.data, seed->data, seed->size);
		b.size = seed->size;
		mutate(&b);
		fd = make_file(&b);
		taken += (unsigned)hostile_dump(fd);
		close(fd);
	}
	free(b.data);
	return taken;
}

int main(void)
{
	struct bytes seeds[6] = { make_elf64(1), make_elf64(0), make_elf32(), make_lime(),
				  make_raw(0x2000) };
	unsigned bad = 0;

	seeds[5] = make_zstd(&seeds[0]);
	for (int i = 0; i < 6; i++) {
		unsigned taken = torment(&seeds[i]);

		printf("seed %d: %u of %d were still dumps\n", i, taken, ROUNDS);
		/* Both kinds must be there, else this tests nothing. */
		bad += !taken;
	}
	for (int i = 0; i < 6; i++)
		free(seeds[i].data);
	return bad ? 1 : 0;
}
