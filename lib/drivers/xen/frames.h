/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_XEN_FRAMES_H
#define SCRY_XEN_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct scry_mapped_region;
struct scry_vm;
struct xen_events;

/*
 * Memory of the handle's own.  In Xen it is the domain's, behind all that the guest
 * has; in the API it has gfns from XEN_OWN_FRAMES on (view.h).
 */
#define XEN_OWN_FRAMES (UINT64_C(1) << 40)

/* The client's SCRY_FRAMES, and as many for breakpoints. */
#define XEN_FRAMES 2048u

enum { XEN_FRAME_CLIENTS = 1, XEN_FRAME_OURS };

/* Where Xen has a frame that the API calls gfn. */
uint64_t xen_frame_gfn(const struct xen_events *e, uint64_t gfn);

/* With e->lock held: a zeroed frame; 0, or -errno (-ENOSPC: no more). */
int xen_frame_get(struct xen_events *e, bool clients, uint64_t *gfn);
void xen_frame_put(struct xen_events *e, uint64_t gfn);
unsigned char *xen_frame_host(struct xen_events *e, uint64_t gfn);

/* For the memory map: the client's frames, at most XEN_FRAMES; and is that gfn of Xen's one? */
size_t xen_frames_regions(struct xen_events *e, struct scry_mapped_region *regions);
bool xen_is_own_frame(const struct xen_events *e, uint64_t gfn);

/* Operations of the driver. */
int xen_frame_create(struct scry_vm *vm, uint64_t *gfn);
int xen_frame_destroy(struct scry_vm *vm, uint64_t gfn);

#endif
