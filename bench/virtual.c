/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reads of 8 bytes of virtual memory, and page walks. */
#include <string.h>

#include "space.h"

#define MIB2 (UINT64_C(1) << 21)
#define SLOTS 512

/* The table that one would write by hand for pages of 2 MiB. */
struct slot {
	uint64_t page;
	unsigned char *host;
};

struct work {
	struct space space;
	struct addresses addresses;
	uint64_t root;		/* gpa of the topmost table */
	struct slot slot[SLOTS];
};

/* As in memory.c each address waits for the value before it. */
static double read_by_scry(void *arg)
{
	const struct work *w = arg;
	struct scry_as *as = w->space.as;
	uint64_t zero = hidden(0), value = 0;
	double start = bench_now();

	for (int r = 0; r < w->addresses.rounds; r++)
		for (size_t i = 0; i < w->addresses.count; i++)
			if (scry_read_virt_u64(as, w->addresses.at[i] + (value & zero), &value))
				return bench_fail("%s", scry_errmsg());
	hidden(value);
	return addresses_ns(&w->addresses, start);
}

static inline int lookup(const struct work *w, uint64_t gva, uint64_t *value)
{
	const struct slot *slot = &w->slot[(gva >> 21) % SLOTS];
	uint64_t offset = gva - slot->page;

	if (offset > MIB2 - 8)
		return -1;
	*value = *(const volatile uint64_t *)(slot->host + offset);
	return 0;
}

static double read_by_lookup(void *arg)
{
	const struct work *w = arg;
	uint64_t zero = hidden(0), value = 0;
	double start = bench_now();

	for (int r = 0; r < w->addresses.rounds; r++)
		for (size_t i = 0; i < w->addresses.count; i++)
			if (lookup(w, w->addresses.at[i] + (value & zero), &value))
				return bench_fail("0x%llx is not in the table",
						  (unsigned long long)w->addresses.at[i]);
	hidden(value);
	return addresses_ns(&w->addresses, start);
}

/* The large pages of the direct map, in the table; their number. */
static size_t fill_table(struct work *w, uint64_t direct, uint64_t *pages)
{
	const struct ram *ram = &w->space.ram;
	size_t count = 0;
	struct scry_walk walk;

	for (size_t i = 0; i < SLOTS; i++)
		w->slot[i].page = (i ^ 1) * MIB2;	/* of another slot: never found */
	for (uint64_t gpa = (ram->gpa + MIB2 - 1) & ~(MIB2 - 1);
	     gpa + MIB2 <= ram->gpa + ram->size && count < SLOTS; gpa += MIB2) {
		uint64_t gva = direct + gpa;

		if (scry_walk(w->space.as, gva, &walk) || walk.fault || walk.gpa != gpa ||
		    walk.page_size < MIB2)
			continue;
		w->slot[gva / MIB2 % SLOTS] = (struct slot){ gva, ram->base + gpa };
		pages[count++] = gva;
	}
	return count;
}

static int choose_addresses(struct work *w, bool hot)
{
	uint64_t pages[SLOTS], direct = space_direct_map(&w->space), seed = 88172645463325252;
	size_t count = direct ? fill_table(w, direct, pages) : 0;

	if (!count)
		return -1;
	if (addresses_new(&w->addresses, hot) < 0)
		return -1;
	for (size_t i = 0; i < w->addresses.count; i++) {
		uint64_t word = bench_random(&seed);

		w->addresses.at[i] = hot ? pages[count / 2] + word % 512 * 8 :
				     pages[word % count] + (word >> 32) % (MIB2 / 8) * 8;
	}
	return 0;
}

int bench_read_virt(const struct bench *b, const char *name)
{
	struct work *w = calloc(1, sizeof(*w));
	int ret = -1;

	if (!w)
		return bench_fail("out of memory");
	if (space_open(&w->space, b->vm) == 0) {
		ret = choose_addresses(w, strstr(name, "hot"));
		if (!ret)
			ret = bench_pairs(b, name, "ns", read_by_scry, read_by_lookup, w);
		free(w->addresses.at);
		space_close(&w->space);
	}
	free(w);
	return ret;
}

#define P    UINT64_C(1)
#define PS   UINT64_C(0x80)
#define FRAME UINT64_C(0xffffffffff000)

/* The walk that one would write by hand, without bounds or reserved bits: it trusts the tables. */
static inline int walk_by_hand(const unsigned char *base, uint64_t table, uint64_t gva,
			       uint64_t *gpa)
{
	uint64_t entry = *(const volatile uint64_t *)(base + table + (gva >> 39 & 511) * 8);

	if (!(entry & P))
		return -1;
	entry = *(const volatile uint64_t *)(base + (entry & FRAME) + (gva >> 30 & 511) * 8);
	if (!(entry & P))
		return -1;
	if (entry & PS) {
		*gpa = (entry & FRAME & ~UINT64_C(0x3fffffff)) | (gva & 0x3fffffff);
		return 0;
	}
	entry = *(const volatile uint64_t *)(base + (entry & FRAME) + (gva >> 21 & 511) * 8);
	if (!(entry & P))
		return -1;
	if (entry & PS) {
		*gpa = (entry & FRAME & ~UINT64_C(0x1fffff)) | (gva & 0x1fffff);
		return 0;
	}
	entry = *(const volatile uint64_t *)(base + (entry & FRAME) + (gva >> 12 & 511) * 8);
	if (!(entry & P))
		return -1;
	*gpa = (entry & FRAME) | (gva & 0xfff);
	return 0;
}

static double translate_by_hand(void *arg)
{
	const struct work *w = arg;
	uint64_t zero = hidden(0), gpa = 0;
	double start = bench_now();

	for (int r = 0; r < w->addresses.rounds; r++)
		for (size_t i = 0; i < w->addresses.count; i++)
			if (walk_by_hand(w->space.ram.base, w->root,
					 w->addresses.at[i] + (gpa & zero), &gpa))
				return bench_fail("a page is gone");
	hidden(gpa);
	return addresses_ns(&w->addresses, start);
}

static double translate_by_scry(void *arg)
{
	const struct work *w = arg;
	uint64_t zero = hidden(0), gpa = 0;
	double start = bench_now();

	for (int r = 0; r < w->addresses.rounds; r++)
		for (size_t i = 0; i < w->addresses.count; i++)
			if (scry_translate(w->space.as, w->addresses.at[i] + (gpa & zero), &gpa))
				return bench_fail("%s", scry_errmsg());
	hidden(gpa);
	return addresses_ns(&w->addresses, start);
}

static double walk_by_scry(void *arg)
{
	const struct work *w = arg;
	struct scry_walk walk = { .gpa = 0 };
	uint64_t zero = hidden(0);
	double start = bench_now();

	for (int r = 0; r < w->addresses.rounds; r++)
		for (size_t i = 0; i < w->addresses.count; i++)
			if (scry_walk(w->space.as, w->addresses.at[i] + (walk.gpa & zero), &walk) ||
			    walk.fault)
				return bench_fail("a page is gone");
	return addresses_ns(&w->addresses, start);
}

int bench_walk(const struct bench *b, const char *name)
{
	struct work w = { .root = 0 };
	int ret;

	if (space_open(&w.space, b->vm) < 0)
		return -1;
	ret = space_small_pages(&w.space, &w.addresses);
	if (!ret) {
		w.root = scry_as_root(w.space.as) & FRAME;
		ret = bench_pairs(b, name, "ns", strstr(name, "full") ? walk_by_scry :
				  translate_by_scry, translate_by_hand, &w);
		free(w.addresses.at);
	}
	space_close(&w.space);
	return ret;
}
