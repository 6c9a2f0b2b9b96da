/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_XEN_RING_H
#define SCRY_XEN_RING_H

#include "shared.h"

/*
 * The monitor's ring (xen/vm_event.h).  Nothing in its page is trusted: what is
 * consumed and produced is counted in struct xen_shared, and requests are copied
 * before they are looked at.  All with the shared lock held.
 */

/* Take the next request; false if there is none.  One that no vCPU waits with is dropped. */
bool xen_ring_take(struct xen_shared *s, void *page, unsigned *vcpu);

/* Answer the vCPU's request; Xen is still to be told. */
void xen_ring_answer(struct xen_shared *s, void *page, unsigned vcpu,
		     const vm_event_response_t *response);

/* Are there requests that nobody took? */
bool xen_ring_unread(const struct xen_shared *s, const void *page);

/* After the death of who used the ring, perhaps half-way through an answer. */
void xen_ring_recover(struct xen_shared *s, void *page);

/* An answer that changes nothing, to be filled in. */
void xen_ring_response(const vm_event_request_t *request, vm_event_response_t *response);

#endif
