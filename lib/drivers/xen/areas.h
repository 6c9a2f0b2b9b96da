/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_XEN_AREAS_H
#define SCRY_XEN_AREAS_H

#include "xen.h"

/* Frames that are mapped together: as many as a page of a page table has. */
#define XEN_AREA_PART UINT64_C(512)

enum xen_frame { XEN_FRAME_UNMAPPED, XEN_FRAME_MAPPED, XEN_FRAME_ABSENT };

/* A new one in front of x->areas, with nothing mapped. */
int xen_area_add(struct xen_vm *x, const struct xen_range *range);

/* Map its frames from first to last (of the domain), and what is around them. */
int xen_area_map(struct xen_vm *x, struct xen_area *a, uint64_t first, uint64_t last,
		 uint64_t frames);

/* What frame `first` (of the area) is, and in *end where that changes. */
enum xen_frame xen_area_state(const struct xen_area *a, uint64_t first, uint64_t *end);

/* Of an earlier map: unmap them, leave the addresses usable, and keep them at the end. */
void xen_areas_retire(struct xen_vm *x, struct xen_area *areas);
void xen_areas_free(struct xen_vm *x);

#endif
