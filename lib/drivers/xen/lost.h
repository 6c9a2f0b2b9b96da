/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_XEN_LOST_H
#define SCRY_XEN_LOST_H

#include <stdbool.h>
#include <stdint.h>

struct xen_events;

/* Where a round through what is trapped has come to. */
struct xen_turn {
	unsigned view;
	uint64_t gfn;
};

/* Has one of the trapped frames whose turn it is lost its trap? */
bool xen_any_trap_lost(struct xen_events *e, struct xen_turn *turn);

#endif
