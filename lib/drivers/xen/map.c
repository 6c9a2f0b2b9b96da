/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "areas.h"
#include "events.h"

/*
 * The domain's memory map.  What is populated is known at once, but mapped only as it
 * is asked for: in a PV dom0 each page costs Xen a microsecond or ten.  The parts grow,
 * so that all of it is mapped in some dozens of calls, by whoever reads all of it.
 */

struct regions {
	struct scry_mapped_region *list;
	size_t count, room;
};

static int add_region(struct regions *r, const struct xen_area *a, uint64_t first, uint64_t end,
		      bool mapped)
{
	struct scry_mapped_region *more;

	if (r->count == r->room) {
		r->room = r->room ? 2 * r->room : 64;
		more = realloc(r->list, r->room * sizeof(*more));
		if (!more)
			return scry_fail(SCRY_E_NOMEM, "out of memory for the memory map");
		r->list = more;
	}
	r->list[r->count++] = (struct scry_mapped_region){
		.region = { .gpa = (a->gfn + first) * XEN_PAGE_SIZE,
			    .size = (end - first) * XEN_PAGE_SIZE,
			    .flags = SCRY_REGION_MAPPED },
		.host = mapped ? a->host + first * XEN_PAGE_SIZE : NULL,
	};
	return 0;
}

/* A region for each run of frames that are mapped, and that are not. */
static int add_area(struct regions *r, const struct xen_area *a)
{
	enum xen_frame state;
	int ret = 0;

	for (uint64_t first = 0, end; !ret && first < a->count; first = end) {
		state = xen_area_state(a, first, &end);
		if (state != XEN_FRAME_ABSENT)
			ret = add_region(r, a, first, end, state == XEN_FRAME_MAPPED);
	}
	return ret;
}

/* The list is by descending addresses. */
static int add_areas(struct regions *r, const struct xen_area *a)
{
	int ret;

	if (!a || a->stale)
		return 0;
	ret = add_areas(r, a->next);
	return ret < 0 ? ret : add_area(r, a);
}

/* They come last. */
static int add_frames(struct xen_vm *x, struct regions *r)
{
	size_t room = r->count + XEN_FRAMES;
	struct scry_mapped_region *more = realloc(r->list, room * sizeof(*more));

	if (!more)
		return scry_fail(SCRY_E_NOMEM, "out of memory for the memory map");
	r->list = more;
	r->count += xen_frames_regions(x->events, &more[r->count]);
	return 0;
}

static int publish(struct xen_vm *x, uint64_t life)
{
	struct regions r = { 0 };
	int ret = add_areas(&r, x->areas);

	if (!ret)
		ret = add_frames(x, &r);
	if (!ret)
		ret = scry_ram_publish(x->vm, r.list, r.count, &x->life, life);
	free(r.list);
	return ret;
}

void xen_life_step(struct xen_vm *x)
{
	uint64_t life = __atomic_load_n(&x->life, __ATOMIC_SEQ_CST);

	while (life && !__atomic_compare_exchange_n(&x->life, &life, life + 1, false,
						    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
}

void xen_life_end(struct xen_vm *x)
{
	__atomic_store_n(&x->life, 0, __ATOMIC_SEQ_CST);
}

static int no_map(struct xen_vm *x)
{
	int ret = xen_events_ended(x->events);

	return ret < 0 ? ret : scry_fail(SCRY_E_GONE, "VM %s has ended", x->vm->name);
}

int xen_map(struct scry_vm *vm)
{
	struct xen_vm *x = xen_of(vm);
	uint64_t life = __atomic_load_n(&x->life, __ATOMIC_SEQ_CST);
	struct xen_area *before = x->areas;
	struct xen_range *ranges;
	size_t count;
	int ret;

	if (!life)
		return no_map(x);
	/*
	 * Whoever has a pointer there may go on to use it; it is guest memory no longer.
	 * What the guest has given back is counted as its own as long as it is mapped.
	 */
	x->areas = NULL;
	xen_areas_retire(x, before);
	ret = xen_populated(x, &ranges, &count);
	if (ret < 0)
		return ret;
	for (size_t i = 0; !ret && i < count; i++)
		if (!xen_is_own_frame(x->events, ranges[i].gfn))
			ret = xen_area_add(x, &ranges[i]);
	if (!ret)
		ret = publish(x, life);
	x->reached = 0;
	free(ranges);
	return ret;
}

/* Frames to map at once: more each time. */
static uint64_t step(struct xen_vm *x)
{
	unsigned doublings = x->reached++ / 4;

	return XEN_AREA_PART << (doublings < 8 ? doublings : 8);
}

int xen_reach(struct scry_vm *vm, uint64_t gpa, size_t len)
{
	struct xen_vm *x = xen_of(vm);
	uint64_t first = gpa / XEN_PAGE_SIZE, last = (gpa + len - 1) / XEN_PAGE_SIZE;
	uint64_t frames = step(x);
	int ret = 0;

	for (struct xen_area *a = x->areas; !ret && a && !a->stale; a = a->next)
		if (first < a->gfn + a->count && last >= a->gfn)
			ret = xen_area_map(x, a, first, last, frames);
	return ret < 0 ? ret : publish(x, scry_current_map(vm)->ram.life_seen);
}
