/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "areas.h"
#include "bits.h"

static void free_area(struct xen_area *a)
{
	free(a->mapped);
	free(a->absent);
	free(a);
}

/* One of an earlier map, with the same first frame: there they are again. */
static struct xen_area *take_stale(struct xen_vm *x, const struct xen_range *range)
{
	for (struct xen_area **at = &x->areas; *at; at = &(*at)->next) {
		struct xen_area *a = *at;

		if (!a->stale || a->gfn != range->gfn || range->count > a->room)
			continue;
		*at = a->next;
		memset(a->mapped, 0, (a->room / XEN_AREA_PART / 64 + 1) * 8);
		memset(a->absent, 0, (a->room / 64 + 1) * 8);
		a->count = range->count;
		a->stale = false;
		return a;
	}
	return NULL;
}

int xen_area_add(struct xen_vm *x, const struct xen_range *range)
{
	struct xen_area *a = take_stale(x, range);

	if (a) {
		a->next = x->areas;
		x->areas = a;
		return 0;
	}
	a = calloc(1, sizeof(*a));
	if (!a)
		return scry_fail(SCRY_E_NOMEM, "out of memory for the memory map");
	a->gfn = range->gfn;
	a->count = a->room = range->count;
	a->mapped = calloc(range->count / XEN_AREA_PART / 64 + 1, 8);
	a->absent = calloc(range->count / 64 + 1, 8);
	a->host = mmap(NULL, range->count * XEN_PAGE_SIZE, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (!a->mapped || !a->absent || a->host == MAP_FAILED) {
		free_area(a);
		return scry_fail(SCRY_E_NOMEM, "no room to map %llu pages of VM %s: %s",
				 (unsigned long long)range->count, x->vm->name, strerror(errno));
	}
	a->next = x->areas;
	x->areas = a;
	return 0;
}

/* What a call of xenforeignmemory_map2() takes and gives. */
struct lists {
	xen_pfn_t *gfn;
	int *err;
};

/* Map frames of the area at their place in it, and note those that are not there. */
static int map_frames(struct xen_vm *x, struct xen_area *a, uint64_t first, uint64_t count,
		      const struct lists *lists)
{
	for (uint64_t i = 0; i < count; i++)
		lists->gfn[i] = a->gfn + first + i;
	if (!x->host.libraries.xenforeignmemory_map2(x->memory, x->domid,
						     a->host + first * XEN_PAGE_SIZE,
						     PROT_READ | PROT_WRITE, MAP_FIXED, count,
						     lists->gfn, lists->err)) {
		int ret = xen_failed(x, "map its memory");

		/* The library has unmapped the place, too: it is to stay ours. */
		mmap(a->host + first * XEN_PAGE_SIZE, count * XEN_PAGE_SIZE, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
		return ret;
	}
	for (uint64_t i = 0; i < count; i++)
		if (lists->err[i])
			set_bit(a->absent, first + i);
	for (uint64_t i = 0; i < count; i += XEN_AREA_PART)
		set_bit(a->mapped, (first + i) / XEN_AREA_PART);
	return 0;
}

/* By calls for parts that are not mapped yet and lie side by side. */
static int map_parts(struct xen_vm *x, struct xen_area *a, uint64_t part, uint64_t end,
		     const struct lists *lists)
{
	int ret = 0;

	while (!ret && part < end) {
		uint64_t first = part * XEN_AREA_PART, last;

		if (test_bit(a->mapped, part)) {
			part++;
			continue;
		}
		while (part < end && !test_bit(a->mapped, part))
			part++;
		last = part * XEN_AREA_PART;
		ret = map_frames(x, a, first, (last < a->count ? last : a->count) - first, lists);
	}
	return ret;
}

int xen_area_map(struct xen_vm *x, struct xen_area *a, uint64_t first, uint64_t last,
		 uint64_t frames)
{
	uint64_t end, parts = (a->count + XEN_AREA_PART - 1) / XEN_AREA_PART;
	struct lists lists;
	int ret;

	first = first > a->gfn ? first - a->gfn : 0;
	last = last - a->gfn < a->count ? last - a->gfn : a->count - 1;
	first -= first % frames;
	end = (last / frames + 1) * frames / XEN_AREA_PART;
	end = end < parts ? end : parts;
	lists.gfn = calloc(a->count, sizeof(*lists.gfn));
	lists.err = calloc(a->count, sizeof(*lists.err));
	ret = lists.gfn && lists.err ? map_parts(x, a, first / XEN_AREA_PART, end, &lists) :
	      scry_fail(SCRY_E_NOMEM, "out of memory for the memory map");
	free(lists.gfn);
	free(lists.err);
	return ret;
}

static enum xen_frame state(const struct xen_area *a, uint64_t frame)
{
	if (test_bit(a->absent, frame))
		return XEN_FRAME_ABSENT;
	return test_bit(a->mapped, frame / XEN_AREA_PART) ? XEN_FRAME_MAPPED : XEN_FRAME_UNMAPPED;
}

enum xen_frame xen_area_state(const struct xen_area *a, uint64_t first, uint64_t *end)
{
	enum xen_frame what = state(a, first);

	*end = first + 1;
	while (*end < a->count && state(a, *end) == what)
		++*end;
	return what;
}

void xen_areas_retire(struct xen_vm *x, struct xen_area *areas)
{
	struct xen_area **last = &x->areas;

	for (struct xen_area *a = areas; a && !a->stale; a = a->next) {
		/* What stays mapped is not freed when the guest gives it back. */
		mmap(a->host, a->room * XEN_PAGE_SIZE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
		a->stale = true;
	}
	while (*last)
		last = &(*last)->next;
	*last = areas;
}

void xen_areas_free(struct xen_vm *x)
{
	while (x->areas) {
		struct xen_area *a = x->areas;

		x->areas = a->next;
		munmap(a->host, a->room * XEN_PAGE_SIZE);
		free_area(a);
	}
}
