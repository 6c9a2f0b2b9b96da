/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_XEN_MOVE_H
#define SCRY_XEN_MOVE_H

struct xen_events;

/* All with e->lock held. */

/*
 * Let a vCPU belong to that view.  Xen puts all vCPUs into a view at once, or one in
 * the answer to its event: so one that runs is stepped, for that event.
 */
int xen_move(struct xen_events *e, unsigned vcpu, unsigned view);
/* All that belong to that view into view 0. */
int xen_move_out(struct xen_events *e, unsigned view);
/* Wait a moment until those that are stepped for it have come by. */
void xen_moved(struct xen_events *e);
/* One has; with its lock held, before it is answered. */
void xen_stepped(struct xen_events *e, unsigned vcpu);

#endif
