/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_XEN_ALTP2M_H
#define SCRY_XEN_ALTP2M_H

#include <stdbool.h>
#include <stdint.h>

#include "hypercall.h"

struct xen_events;

/* Xen's side of the views: each 0 or -errno. */
int xen_altp2m_state(struct xen_events *e, bool on);
/* *idx is left as it is if there is none to be had. */
int xen_altp2m_create(struct xen_events *e, uint16_t *idx);
/* HVMOP_altp2m_destroy_p2m or HVMOP_altp2m_switch_p2m. */
int xen_altp2m_op(struct xen_events *e, uint32_t cmd, uint16_t idx);
/* With all ones for the target the guest's own frame is back. */
int xen_altp2m_remap(struct xen_events *e, uint16_t idx, uint64_t gfn, uint64_t target);
/* What it lets through of a frame: -ESRCH if it has none there. */
int xen_altp2m_get_access(struct xen_events *e, uint16_t idx, uint64_t gfn, uint8_t *access);
/* In the same words what it is to let through of a frame with such traps. */
uint8_t xen_altp2m_access(const struct xen_events *e, uint64_t gfn, uint64_t traps);

/* What is trapped of frames, told in calls as large as can be. */
struct xen_batch {
	struct xen_events *e;
	unsigned idx;
	uint32_t count;
	uint64_t gfn[XEN_HYPER_ACCESSES];
	uint8_t access[XEN_HYPER_ACCESSES];
};

int xen_batch_add(struct xen_batch *b, uint64_t gfn, uint64_t traps);
int xen_batch_flush(struct xen_batch *b);

#endif
