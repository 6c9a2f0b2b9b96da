/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "dump.h"

#define PAGE UINT64_C(4096)

/* By how much the file is shorter than it must be for the longest of its pieces. */
static void note_missing(struct dump_vm *d, uint64_t size, uint64_t offset)
{
	uint64_t end, missing;

	if (__builtin_add_overflow(offset, size, &end))
		end = UINT64_MAX;
	missing = end - d->file.size;
	if (d->missing < missing)
		d->missing = missing;
}

int dump_add_piece(struct dump_vm *d, uint64_t gpa, uint64_t size, uint64_t offset)
{
	/* What a file that was cut short has is worth more than nothing. */
	uint64_t there = offset < d->file.size ? d->file.size - offset : 0;

	if (size > UINT64_MAX - gpa)
		return scry_fail(SCRY_E_INVAL, "%s is malformed: its memory at 0x%llx reaches past the "
				 "end of the address space", d->file.path, (unsigned long long)gpa);
	if (size > there) {
		note_missing(d, size, offset);
		size = there;
	}
	if (!size)
		return 0;
	if (d->pieces == d->room) {
		size_t room = d->room ? d->room * 2 : 64;
		struct dump_piece *more = reallocarray(d->piece, room, sizeof(*more));

		if (!more)
			return scry_fail(SCRY_E_NOMEM, "out of memory for the dump's memory map");
		d->piece = more;
		d->room = room;
	}
	d->piece[d->pieces++] = (struct dump_piece){ gpa, size, offset };
	return 0;
}

static int by_gpa(const void *a, const void *b)
{
	const struct dump_piece *x = a, *y = b;

	if (x->gpa != y->gpa)
		return x->gpa < y->gpa ? -1 : 1;
	return x->size > y->size ? -1 : x->size < y->size;
}

/*
 * The same memory may be there several times (QEMU's "paging" has it once for each
 * virtual address): the first counts.  Neighbours become one.
 */
static void merge(struct dump_vm *d)
{
	size_t count = 0;

	for (size_t i = 0; i < d->pieces; i++) {
		struct dump_piece p = d->piece[i], *last = count ? &d->piece[count - 1] : NULL;
		uint64_t floor = last ? last->gpa + last->size : 0;

		if (p.gpa < floor) {
			uint64_t cut = floor - p.gpa;

			if (cut >= p.size)
				continue;
			p = (struct dump_piece){ floor, p.size - cut, p.offset + cut };
		}
		if (last && p.gpa == floor && p.offset == last->offset + last->size)
			last->size += p.size;
		else
			d->piece[count++] = p;
	}
	d->pieces = count;
}

/* A part of a page is no page. */
static void trim(struct dump_vm *d)
{
	size_t count = 0;

	for (size_t i = 0; i < d->pieces; i++) {
		struct dump_piece p = d->piece[i];
		uint64_t skip = -p.gpa & (PAGE - 1);

		if (p.size < skip + PAGE)
			continue;
		d->piece[count++] = (struct dump_piece){ p.gpa + skip,
							 (p.size - skip) & ~(PAGE - 1),
							 p.offset + skip };
	}
	d->pieces = count;
}

int dump_layout(struct dump_vm *d)
{
	if (d->pieces)
		qsort(d->piece, d->pieces, sizeof(d->piece[0]), by_gpa);
	merge(d);
	trim(d);
	if (d->pieces)
		return 0;
	return scry_fail(SCRY_E_INVAL, "%s holds no guest memory (%s)", d->file.path, d->format);
}
