/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../paging/as.h"
#include "events.h"

#define INT3 0xcc

#define CR3_BITS UINT64_C(0x7ffffffffffff000)	/* that tell address spaces apart */

bool xen_breakpoints_any(const struct xen_events *e)
{
	return e->breakpoints.count;
}

uint64_t xen_shadow_of(const struct xen_events *e, uint64_t gfn)
{
	uint64_t shadow = xen_runs_get(&e->breakpoints.shadows, gfn);

	return shadow ? shadow - 1 : 0;
}

static bool is_of(const struct scry_breakpoint *b, const struct scry_event *event)
{
	if (b->vcpus && !(b->vcpus >> event->vcpu & 1))
		return false;
	if (b->flags & SCRY_BREAKPOINT_CR3 && (b->cr3 ^ event->cr3) & CR3_BITS)
		return false;
	return b->flags & SCRY_BREAKPOINT_PHYSICAL || b->address == event->rip;
}

int xen_breakpoint_at(const struct xen_events *e, uint64_t gfn, const struct scry_event *event)
{
	uint64_t gpa = gfn << 12 | event->rip % XEN_PAGE_SIZE;
	bool ours = false;

	if (!xen_shadow_of(e, gfn))
		return -1;
	for (int i = 0; i < SCRY_BREAKPOINTS; i++) {
		const struct xen_breakpoint *b = &e->breakpoints.list[i];

		if (!b->used || b->gpa != gpa)
			continue;
		if (is_of(&b->breakpoint, event))
			return i + 1;
		ours = true;
	}
	return ours ? 0 : -1;
}

/* Where there are breakpoints in a page. */
static void mark(const struct xen_events *e, uint64_t gfn, bool marks[XEN_PAGE_SIZE])
{
	for (unsigned i = 0; i < SCRY_BREAKPOINTS; i++)
		if (e->breakpoints.list[i].used && e->breakpoints.list[i].gpa >> 12 == gfn)
			marks[e->breakpoints.list[i].gpa % XEN_PAGE_SIZE] = true;
}

void xen_shadow_refresh(struct xen_events *e, uint64_t gfn)
{
	uint64_t frame = xen_shadow_of(e, gfn);
	bool marks[XEN_PAGE_SIZE] = { false };
	unsigned char page[XEN_PAGE_SIZE];
	volatile unsigned char *shadow;

	if (!frame || scry_read_phys(e->vm, gfn << 12, page, sizeof(page)) < 0)
		return;
	mark(e, gfn, marks);
	shadow = xen_frame_host(e, frame);
	/* Byte by byte, and only what differs: a vCPU may be executing it. */
	for (unsigned i = 0; i < XEN_PAGE_SIZE; i++) {
		unsigned char byte = marks[i] ? INT3 : page[i];

		if (shadow[i] != byte)
			shadow[i] = byte;
	}
}

static int shadow_make(struct xen_events *e, uint64_t gfn)
{
	uint64_t frame;
	int ret;

	if (xen_shadow_of(e, gfn)) {
		xen_shadow_refresh(e, gfn);
		return 0;
	}
	ret = xen_frame_get(e, false, &frame);
	if (ret)
		return ret;
	if (!xen_runs_set(&e->breakpoints.shadows, gfn, gfn, frame + 1)) {
		xen_frame_put(e, frame);
		return -ENOMEM;
	}
	xen_shadow_refresh(e, gfn);
	return xen_views_shadow(e, gfn);
}

/* It goes when the last breakpoint of its page has gone. */
static int shadow_drop(struct xen_events *e, uint64_t gfn)
{
	bool marks[XEN_PAGE_SIZE] = { false };
	uint64_t frame = xen_shadow_of(e, gfn);
	int ret;

	xen_shadow_refresh(e, gfn);
	mark(e, gfn, marks);
	if (!frame || memchr(marks, true, sizeof(marks)))
		return 0;
	xen_runs_set(&e->breakpoints.shadows, gfn, gfn, 0);
	ret = xen_views_shadow(e, gfn);
	xen_frame_put(e, frame);
	return ret;
}

static int no_memory(struct xen_events *e)
{
	return scry_fail(SCRY_E_NOMEM, "VM %s has %d breakpoints, and takes no more: remove one",
			 e->vm->name, SCRY_BREAKPOINTS);
}

static int find_free(struct xen_events *e, unsigned *number)
{
	struct xen_breakpoints *b = &e->breakpoints;

	if (!b->list)
		b->list = calloc(SCRY_BREAKPOINTS, sizeof(*b->list));
	if (!b->list || b->count == SCRY_BREAKPOINTS)
		return no_memory(e);
	*number = 0;
	while (b->list[*number].used)
		++*number;
	return 0;
}

static int plant(struct xen_events *e, const struct scry_breakpoint *breakpoint, uint64_t gpa)
{
	uint8_t byte;
	bool armed;
	unsigned n = 0;
	int ret = xen_views_need(e);

	if (!ret)
		ret = find_free(e, &n);
	if (ret < 0)
		return ret;
	e->breakpoints.list[n] = (struct xen_breakpoint){ .used = true, .gpa = gpa,
							  .breakpoint = *breakpoint };
	e->breakpoints.count++;
	/* Where there is no memory nothing is executed. */
	ret = scry_read_phys(e->vm, gpa, &byte, 1) < 0 ? 0 : shadow_make(e, gpa >> 12);
	armed = !ret;
	if (!ret && e->breakpoints.count == 1)
		ret = xen_arm(e);
	if (!ret)
		return (int)n + 1;
	e->breakpoints.list[n].used = false;
	e->breakpoints.count--;
	return armed ? ret : scry_fail(SCRY_E_NOMEM, "Xen cannot shadow the page of a breakpoint: %s",
				       strerror(-ret));
}

/* Where a linear address is now: in the address space given, or else in vCPU 0's. */
static int find_gpa(struct scry_vm *vm, const struct scry_breakpoint *b, uint64_t *gpa)
{
	struct scry_as *as;
	int ret = scry_as_of_vcpu(vm, 0, &as);

	if (ret < 0)
		return ret;
	if (b->flags & SCRY_BREAKPOINT_CR3)
		as->root = b->cr3;
	ret = scry_translate(as, b->address, gpa);
	scry_as_free(as);
	return ret;
}

int xen_breakpoint_add(struct scry_vm *vm, const struct scry_breakpoint *breakpoint)
{
	struct xen_events *e = xen_events_of(vm);
	uint64_t gpa = breakpoint->address;
	int ret = xen_events_ended(e);

	if (!ret && !(breakpoint->flags & SCRY_BREAKPOINT_PHYSICAL))
		ret = find_gpa(vm, breakpoint, &gpa);
	if (ret < 0)
		return ret;
	pthread_mutex_lock(&e->lock);
	ret = plant(e, breakpoint, gpa);
	pthread_mutex_unlock(&e->lock);
	return ret;
}

static int take_away(struct xen_events *e, unsigned n)
{
	struct xen_breakpoints *b = &e->breakpoints;
	int ret;

	b->list[n].used = false;
	b->count--;
	ret = shadow_drop(e, b->list[n].gpa >> 12);
	if (!ret && !b->count)
		return xen_arm(e);
	return ret ? scry_fail(SCRY_E_IO, "Xen cannot give a page its own code back: %s",
			       strerror(-ret)) : 0;
}

static int remove_one(struct xen_events *e, unsigned n)
{
	int ret, gone;

	if (n >= SCRY_BREAKPOINTS || !e->breakpoints.list || !e->breakpoints.list[n].used)
		return scry_fail(SCRY_E_NOTFOUND, "there is no breakpoint %u", n + 1);
	ret = xen_hold(e);
	if (ret < 0)
		return ret;
	/* A hit that is in the ring already is this one's. */
	xen_pump(e);
	ret = take_away(e, n);
	gone = xen_let_go(e);
	return ret < 0 ? ret : gone;
}

int xen_breakpoint_remove(struct scry_vm *vm, int number)
{
	struct xen_events *e = xen_events_of(vm);
	int ret = xen_events_ended(e);

	if (ret < 0)
		return ret;
	pthread_mutex_lock(&e->lock);
	ret = remove_one(e, (unsigned)number - 1);
	pthread_mutex_unlock(&e->lock);
	return ret;
}

void xen_breakpoints_written(struct scry_vm *vm, uint64_t gpa, size_t len)
{
	struct xen_events *e = xen_events_of(vm);

	if (!e || !__atomic_load_n(&e->breakpoints.count, __ATOMIC_ACQUIRE))
		return;
	pthread_mutex_lock(&e->lock);
	for (uint64_t gfn = gpa >> 12; gfn <= (gpa + len - 1) >> 12; gfn++)
		xen_shadow_refresh(e, gfn);
	pthread_mutex_unlock(&e->lock);
}

void xen_breakpoints_free(struct xen_events *e)
{
	free(e->breakpoints.list);
	xen_runs_free(&e->breakpoints.shadows);
}
