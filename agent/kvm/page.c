/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <sys/mman.h>

#include "agent/memory/frame.h"
#include "agent/memory/slat.h"
#include "page.h"
#include "plant.h"

#define PAGE ALIAS_PAGE

static int protection(uint64_t entry)
{
	if (entry & (SCRY_READ | SCRY_EXEC))
		return PROT_NONE;
	return entry & SCRY_WRITE ? PROT_READ : PROT_READ | PROT_WRITE;
}

/* The file behind a page, and where in it; -1 = none that can be shared. */
static int file_of(uint64_t gpa, uint64_t *offset)
{
	uint64_t page;
	const struct alias *a = alias_of(gpa / PAGE, &page);
	int fd;

	if (a) {
		*offset = a->file_offset + page * PAGE;
		return a->fd;
	}
	if (gpa >= COPIES_BASE) {
		*offset = gpa - COPIES_BASE;
		return plant_file();
	}
	*offset = gpa - FRAMES_BASE;
	return gpa >= FRAMES_BASE && frame_at(gpa, &fd) ? fd : -1;
}

bool pages_set(struct alias *a, uint64_t first, uint64_t last, uint64_t entry)
{
	char *at = a->memory + first * PAGE;
	uint64_t offset = a->file_offset + first * PAGE, size = (last - first) * PAGE;
	bool moves = (a->is[first] ^ entry) & ~SLAT_TRAPS;
	int fd = a->fd;

	if (moves && entry & SLAT_REMAPPED)
		fd = file_of(entry & SLAT_PAGE, &offset);
	if (fd < 0)
		return false;
	if (moves ? mmap(at, size, protection(entry), MAP_SHARED | MAP_FIXED, fd, (off_t)offset) ==
			    MAP_FAILED :
		    mprotect(at, size, protection(entry)) < 0)
		return false;
	/* Its neighbours not so marked, the kernel keeps a mapping for it alone when it is opened. */
	madvise(at, size, entry ? MADV_DONTFORK : MADV_DOFORK);
	for (uint64_t i = first; i < last; i++) {
		a->busy[i / ALIAS_CHUNK] += (uint32_t)(!!entry - !!a->is[i]);
		a->is[i] = entry;
	}
	return true;
}

static void protect(const struct alias *a, uint64_t first, uint64_t last, int protection)
{
	mprotect(a->memory + first * PAGE, (last - first) * PAGE, protection);
}

static bool is_copy(uint64_t entry)
{
	return entry & SLAT_REMAPPED && (entry & SLAT_PAGE) >= COPIES_BASE;
}

void page_open(struct alias *a, uint64_t page, bool write)
{
	if (!is_copy(a->is[page]))
		protect(a, page, page + 1, PROT_READ | PROT_WRITE);
	else if (write)
		pages_set(a, page, page + 1, 0);
	else
		plant_lift(a->copy[page]);
}

void page_close(struct alias *a, uint64_t page)
{
	unsigned copy = a->copy[page];

	if (copy && (!a->is[page] || is_copy(a->is[page]))) {
		plant_fill(copy);
		if (a->is[page] != plant_entry(copy))
			pages_set(a, page, page + 1, plant_entry(copy));
	}
	protect(a, page, page + 1, protection(a->is[page]));
}

/* The next run of pages that are not simply open, and alike in what they let through. */
static bool next_run(const struct alias *a, uint64_t *first, uint64_t *end)
{
	uint64_t pages = a->size / PAGE, i = *end;

	while (i < pages && !a->is[i])
		i = a->busy[i / ALIAS_CHUNK] ? i + 1 : (i / ALIAS_CHUNK + 1) * ALIAS_CHUNK;
	if (i >= pages)
		return false;
	*first = i;
	while (i < pages && a->is[i] && protection(a->is[i]) == protection(a->is[*first]))
		i++;
	*end = i;
	return true;
}

void pages_open_all(const struct alias *a)
{
	for (uint64_t first, end = 0; next_run(a, &first, &end);)
		protect(a, first, end, PROT_READ | PROT_WRITE);
}

void pages_close_all(const struct alias *a)
{
	for (uint64_t first, end = 0; next_run(a, &first, &end);)
		protect(a, first, end, protection(a->is[first]));
}
