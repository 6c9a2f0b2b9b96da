/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdbool.h>
#include <string.h>

#include "reference.h"

static bool bit(uint64_t value, int n)
{
	return value >> n & 1;
}

/* Bits high to low of value, moved down to bit 0. */
static uint64_t field(uint64_t value, int high, int low)
{
	uint64_t down = value >> low;

	return high - low == 63 ? down : down & ((UINT64_C(1) << (high - low + 1)) - 1);
}

static int entry_size(const struct reference_space *space)
{
	return space->mode == SCRY_PAGING_32BIT ? 4 : 8;
}

static int top_level(const struct reference_space *space)
{
	static const int level[] = { 0, 2, 3, 4, 5 };

	return level[space->mode];
}

/* Lowest bit of gva that selects an entry of this level, and how many bits do. */
static int index_low(const struct reference_space *space, int level)
{
	return 12 + (level - 1) * (entry_size(space) == 4 ? 10 : 9);
}

static int index_bits(const struct reference_space *space, int level)
{
	if (space->mode == SCRY_PAGING_PAE && level == 3)
		return 2;
	return entry_size(space) == 4 ? 10 : 9;
}

static bool canonical(const struct reference_space *space, uint64_t gva)
{
	int top = space->mode == SCRY_PAGING_5LEVEL ? 56 : 47;
	uint64_t upper = field(gva, 63, top);

	if (space->mode < SCRY_PAGING_4LEVEL)
		return field(gva, 63, 32) == 0;
	return upper == 0 || upper == field(UINT64_MAX, 63, top);
}

/* Does this present entry map a page? */
static bool maps_page(const struct reference_space *space, int level, uint64_t entry)
{
	switch (level) {
	case 1:
		return true;
	case 2:
		return bit(entry, 7) && (space->mode != SCRY_PAGING_32BIT || space->pse);
	case 3:
		return bit(entry, 7) && space->mode >= SCRY_PAGING_4LEVEL;
	default:
		return false;
	}
}

static bool reserved_bit_set(const struct reference_space *space, int level, uint64_t entry)
{
	bool page = maps_page(space, level, entry);

	switch (space->mode) {
	case SCRY_PAGING_32BIT:		/* table 4-4 */
		return page && level == 2 && bit(entry, 21);
	case SCRY_PAGING_PAE:		/* tables 4-8 to 4-11; a PDPTE's bit 5: see walk.c */
		if (level == 3)
			return field(entry, 2, 1) || field(entry, 8, 6) || field(entry, 63, 52);
		if (field(entry, 62, 52) || (bit(entry, 63) && !space->nxe))
			return true;
		return page && level == 2 && field(entry, 20, 13);
	default:			/* tables 4-14 to 4-20 */
		if (bit(entry, 63) && !space->nxe)
			return true;
		if (level >= 4)
			return bit(entry, 7);
		if (level == 3)
			return page && field(entry, 29, 13);
		return level == 2 && page && field(entry, 20, 13);
	}
}

static uint64_t frame(const struct reference_space *space, int level, uint64_t entry)
{
	int low = index_low(space, level);

	if (entry_size(space) == 4 && level == 2)
		return field(entry, 31, 22) << 22 | field(entry, 20, 13) << 32;
	return field(entry, 51, low) << low;
}

static void describe(const struct reference_space *space, int level, uint64_t entry,
		     struct scry_walk *w)
{
	uint64_t size = UINT64_C(1) << index_low(space, level);

	w->page_size = size;
	w->gpa = frame(space, level, entry) + w->gva % size;
	if (bit(entry, 8))
		w->flags |= SCRY_PAGE_GLOBAL;
	if (bit(entry, 5))
		w->flags |= SCRY_PAGE_ACCESSED;
	if (bit(entry, 6))
		w->flags |= SCRY_PAGE_DIRTY;
	if (space->mode >= SCRY_PAGING_4LEVEL)
		w->pkey = (uint32_t)field(entry, 62, 59);
}

static uint64_t first_table(const struct reference_space *space)
{
	if (space->mode == SCRY_PAGING_32BIT)
		return field(space->root, 31, 12) << 12;
	if (space->mode == SCRY_PAGING_PAE)
		return field(space->root, 31, 5) << 5;
	return field(space->root, 51, 12) << 12;
}

/* One level; false when the walk has ended. */
static bool step(const struct reference_space *space, int level, uint64_t *table,
		 struct scry_walk *w)
{
	int low = index_low(space, level);
	int size = entry_size(space);
	uint64_t index = field(w->gva, low + index_bits(space, level) - 1, low);
	uint64_t at = *table + index * (uint64_t)size;
	uint64_t entry = 0;

	if (at >= space->size || space->size - at < (uint64_t)size) {
		w->fault = SCRY_WALK_NO_MEMORY;
		return false;
	}
	memcpy(&entry, space->memory + at, (size_t)size);
	w->levels++;
	if (!bit(entry, 0)) {
		w->fault = SCRY_WALK_NOT_PRESENT;
		return false;
	}
	if (reserved_bit_set(space, level, entry)) {
		w->fault = SCRY_WALK_RESERVED_BIT;
		return false;
	}
	if (!(space->mode == SCRY_PAGING_PAE && level == 3)) {
		if (!bit(entry, 1))
			w->flags &= ~SCRY_PAGE_WRITE;
		if (!bit(entry, 2))
			w->flags &= ~SCRY_PAGE_USER;
		if (bit(entry, 63))
			w->flags |= SCRY_PAGE_NX;
	}
	if (maps_page(space, level, entry)) {
		describe(space, level, entry, w);
		return false;
	}
	*table = field(entry, 51, 12) << 12;
	return true;
}

void reference_walk(const struct reference_space *space, uint64_t gva, struct scry_walk *w)
{
	uint64_t table = first_table(space);
	int level = top_level(space);

	memset(w, 0, sizeof(*w));
	w->gva = gva;
	if (!canonical(space, gva)) {
		w->fault = SCRY_WALK_NON_CANONICAL;
		return;
	}
	w->flags = SCRY_PAGE_WRITE | SCRY_PAGE_USER;
	if (space->mode == SCRY_PAGING_OFF) {
		w->gpa = gva;
		w->page_size = 4096;
		return;
	}
	while (step(space, level, &table, w))
		level--;
	if (w->fault)
		w->flags = 0;
}
