/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_XEN_BREAKPOINTS_H
#define SCRY_XEN_BREAKPOINTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <scry/breakpoint.h>

#include "hypercall.h"
#include "runs.h"

struct xen_events;

/*
 * A hidden breakpoint is an int3 in a copy of its page, the shadow, which in every
 * view stands in the page's place and can only be executed.  What reads or writes the
 * page is let do so on the page itself, by a step in the view's twin.
 */
struct xen_breakpoint {
	bool used;
	uint64_t gpa;			/* where it was planted */
	struct scry_breakpoint breakpoint;
};

struct xen_breakpoints {
	struct xen_breakpoint *list;	/* SCRY_BREAKPOINTS, or NULL before the first */
	unsigned count;
	struct xen_runs shadows;	/* of gfns, one each: 1 + the frame in its place */
};

/* All with e->lock held. */
bool xen_breakpoints_any(const struct xen_events *e);
/*
 * The number of the breakpoint at the event's rip, which lies in frame gfn; 0 if it is
 * none of this vCPU, -1 if there is none and an int3 there is the guest's.
 */
int xen_breakpoint_at(const struct xen_events *e, uint64_t gfn, const struct scry_event *event);
/* The page was written: have its shadow, if it has one, follow. */
void xen_shadow_refresh(struct xen_events *e, uint64_t gfn);
/* The frame that is executed in the place of gfn, or 0. */
uint64_t xen_shadow_of(const struct xen_events *e, uint64_t gfn);
void xen_breakpoints_free(struct xen_events *e);

/* The driver's other half wrote that. */
void xen_breakpoints_written(struct scry_vm *vm, uint64_t gpa, size_t len);

/* Operations of the driver. */
int xen_breakpoint_add(struct scry_vm *vm, const struct scry_breakpoint *breakpoint);
int xen_breakpoint_remove(struct scry_vm *vm, int number);

#endif
