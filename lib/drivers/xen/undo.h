/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_XEN_UNDO_H
#define SCRY_XEN_UNDO_H

#include "shared.h"

/*
 * Undo all that stands in *s: traps, views, single-step, frames, pauses; answer
 * every vCPU that waits, so that it goes on as if nobody had watched.  Returns
 * when that is done; async-signal-safe.  page is the ring's, if there is one.
 */
void xen_undo(struct xen_hyper *h, struct xen_shared *s, void *page);

/* Has the domain ended, or shut down: does none of its vCPUs run any more? */
bool xen_domain_gone(struct xen_hyper *h);
bool xen_domain_down(struct xen_hyper *h);

#endif
