/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "events.h"
#include "frames.h"

#define SLACK_PAGES 16u
#define CHUNK       UINT64_C(512)	/* of frames */

uint64_t xen_frame_gfn(const struct xen_events *e, uint64_t gfn)
{
	return gfn < XEN_OWN_FRAMES ? gfn : e->watchdog->shared->frames_gfn + (gfn - XEN_OWN_FRAMES);
}

/*
 * Behind all that the guest has, and a chunk of 2 MiB between: what touches its memory
 * would be one range with it.
 */
static uint64_t first_gfn(const struct xen_events *e)
{
	const struct scry_map *map = scry_current_map(e->vm);
	uint64_t end = 0x100000;

	for (size_t i = 0; i < map->count; i++) {
		const struct scry_mapped_region *r = &map->region[i];
		uint64_t behind = (r->region.gpa + r->region.size) >> 12;

		if (!r->own && behind > end)
			end = behind;
	}
	return ((end + CHUNK - 1) & ~(CHUNK - 1)) + CHUNK;
}

/* The domain may have as many pages as it was given; let it have ours, too. */
static int make_room(struct xen_events *e)
{
	struct xen_domctl op = { .cmd = XEN_DOMCTL_getdomaininfo };
	int ret = xen_hyper_domctl(&e->hyper, &op);
	uint64_t pages = op.u.getdomaininfo.max_pages;

	if (ret < 0)
		return ret;
	e->watchdog->shared->max_kb = pages * 4;
	op = (struct xen_domctl){ .cmd = XEN_DOMCTL_max_mem };
	op.u.max_mem.max_memkb = (pages + XEN_FRAMES + SLACK_PAGES) * 4;
	return xen_hyper_domctl(&e->hyper, &op);
}

static int prepare(struct xen_events *e)
{
	int ret = make_room(e);

	if (ret < 0)
		return ret;
	e->frame_memory = mmap(NULL, (size_t)XEN_FRAMES * XEN_PAGE_SIZE, PROT_NONE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (e->frame_memory == MAP_FAILED) {
		e->frame_memory = NULL;
		return -ENOMEM;
	}
	e->watchdog->shared->frames_gfn = first_gfn(e);
	return 0;
}

/* One more; they are kept until the handle ends, and used again. */
static int grow(struct xen_events *e)
{
	struct xen_shared *s = e->watchdog->shared;
	uint64_t n = s->frames;
	int ret = e->frame_memory ? 0 : prepare(e);

	if (ret)
		return ret;
	/* Noted before it is done: so it goes with this process, whenever that dies. */
	s->frames = n + 1;
	ret = xen_hyper_frame(&e->hyper, XENMEM_populate_physmap, s->frames_gfn + n);
	if (!ret) {
		ret = xen_hyper_map(&e->hyper, s->frames_gfn + n, e->frame_memory + n * XEN_PAGE_SIZE);
		if (ret)
			xen_hyper_frame(&e->hyper, XENMEM_decrease_reservation, s->frames_gfn + n);
	}
	if (ret)
		s->frames = n;
	return ret;
}

int xen_frame_get(struct xen_events *e, bool clients, uint64_t *gfn)
{
	uint64_t n = 0;
	int ret;

	if (clients && e->client_frames == SCRY_FRAMES)
		return -ENOSPC;
	while (n < e->watchdog->shared->frames && e->frame_used[n])
		n++;
	if (n == XEN_FRAMES)
		return -ENOSPC;
	ret = n == e->watchdog->shared->frames ? grow(e) : 0;
	if (ret)
		return ret;
	memset(e->frame_memory + n * XEN_PAGE_SIZE, 0, XEN_PAGE_SIZE);
	e->frame_used[n] = clients ? XEN_FRAME_CLIENTS : XEN_FRAME_OURS;
	e->client_frames += clients;
	*gfn = XEN_OWN_FRAMES + n;
	return 0;
}

void xen_frame_put(struct xen_events *e, uint64_t gfn)
{
	uint64_t n = gfn - XEN_OWN_FRAMES;

	e->client_frames -= e->frame_used[n] == XEN_FRAME_CLIENTS;
	e->frame_used[n] = 0;
}

unsigned char *xen_frame_host(struct xen_events *e, uint64_t gfn)
{
	return e->frame_memory + (gfn - XEN_OWN_FRAMES) * XEN_PAGE_SIZE;
}

int xen_frame_create(struct scry_vm *vm, uint64_t *gfn)
{
	struct xen_events *e = xen_events_of(vm);
	int ret = xen_events_ended(e);

	if (ret < 0)
		return ret;
	pthread_mutex_lock(&e->lock);
	ret = xen_frame_get(e, true, gfn);
	pthread_mutex_unlock(&e->lock);
	if (!ret) {
		xen_life_step(xen_of(vm));
		return 0;
	}
	return scry_fail(SCRY_E_NOMEM, ret == -ENOSPC ? "VM %s has as many frames of this handle's as "
			 "there can be: destroy one" : "Xen has no memory for a frame beside VM %s: %s",
			 vm->name, strerror(-ret));
}

int xen_frame_destroy(struct scry_vm *vm, uint64_t gfn)
{
	struct xen_events *e = xen_events_of(vm);
	uint64_t n = gfn - XEN_OWN_FRAMES;
	int ret = xen_events_ended(e);
	bool is_own;

	if (ret < 0)
		return ret;
	pthread_mutex_lock(&e->lock);
	is_own = n < e->watchdog->shared->frames && e->frame_used[n] == XEN_FRAME_CLIENTS;
	if (is_own)
		xen_frame_put(e, gfn);
	pthread_mutex_unlock(&e->lock);
	if (is_own)
		xen_life_step(xen_of(vm));
	return is_own ? 0 : scry_fail(SCRY_E_NOTFOUND, "frame %#llx is not this handle's",
				      (unsigned long long)gfn);
}

size_t xen_frames_regions(struct xen_events *e, struct scry_mapped_region *regions)
{
	size_t count = 0;

	/* Without the lock, which the caller may have; what changes meanwhile has it made anew. */
	for (uint64_t n = 0; n < e->watchdog->shared->frames; n++) {
		if (e->frame_used[n] != XEN_FRAME_CLIENTS)
			continue;
		regions[count++] = (struct scry_mapped_region){
			.region = { .gpa = (XEN_OWN_FRAMES + n) << 12, .size = XEN_PAGE_SIZE,
				    .flags = SCRY_REGION_MAPPED },
			.host = e->frame_memory + n * XEN_PAGE_SIZE, .own = true,
		};
	}
	return count;
}

bool xen_is_own_frame(const struct xen_events *e, uint64_t gfn)
{
	const struct xen_shared *s = e->watchdog->shared;

	return s && gfn - s->frames_gfn < s->frames;
}
