/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_XEN_TRACE_RING_H
#define SCRY_XEN_TRACE_RING_H

#include <stddef.h>
#include <stdint.h>

/* A vCPU's packets: the processor writes round and round, and Xen says where it is. */
struct xen_trace_ring {
	const unsigned char *bytes;
	uint64_t size, read;		/* read: where the next unread byte is */
};

/*
 * Take at most len bytes of those up to `position`, which nobody has vouched for; how
 * many, or -1 if that is no position in the ring.  A whole round that was missed is not
 * to be seen.
 */
int64_t xen_trace_take(struct xen_trace_ring *ring, uint64_t position, void *out, size_t len);

#endif
