/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_XEN_VIEWS_H
#define SCRY_XEN_VIEWS_H

#include <stdbool.h>
#include <stdint.h>

#include "runs.h"

struct scry_vm;
struct xen_events;

/* Xen 4.17 has so many altp2m; 0 stays as the guest's own mapping is. */
#define XEN_ALTP2MS 10

/*
 * A view is an altp2m of Xen's.  One with remaps has a twin beside it, the same
 * without traps, in which an access that the client lets pass is made; of the others
 * altp2m 0 is the twin.
 */
struct xen_view {
	bool used;
	uint16_t idx, twin;
	struct xen_runs traps;		/* of gfns: SCRY_READ, SCRY_WRITE, SCRY_EXEC */
	struct xen_runs remaps;		/* of gfns, one each: 1 + the frame in its place */
};

struct xen_views {
	bool on;
	struct xen_view view[XEN_ALTP2MS];
};

/* With e->lock held, or by the thread that alone changes them. */
uint64_t xen_view_target(const struct xen_views *views, unsigned view, uint64_t gfn);
uint32_t xen_view_traps(const struct xen_views *views, unsigned view, uint64_t gfn);
/* Where one step of a vCPU of that view is made untrapped. */
uint16_t xen_view_twin(const struct xen_views *views, unsigned view);
/* The view of an altp2m, or -1. */
int xen_view_of(const struct xen_views *views, uint16_t idx);

/* Views are on from the first need on: all vCPUs in view 0. */
int xen_views_need(struct xen_events *e);
/* The shadow of a breakpoint's page has come or gone: 0 or -errno. */
int xen_views_shadow(struct xen_events *e, uint64_t gfn);
/* Pages may have come back to the guest, without traps: set all again; false if that failed. */
bool xen_views_again(struct xen_events *e);
void xen_views_free(struct xen_views *views);

/* Operations of the driver. */
int xen_view_create(struct scry_vm *vm, unsigned like);
int xen_view_destroy(struct scry_vm *vm, unsigned view);
int xen_view_protect(struct scry_vm *vm, unsigned view, uint64_t gfn, uint64_t count,
		     uint32_t access);
int xen_view_remap(struct scry_vm *vm, unsigned view, uint64_t gfn, uint64_t target);
int xen_view_switch(struct scry_vm *vm, unsigned vcpu, unsigned view);

#endif
