/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "trace_ring.h"

int64_t xen_trace_take(struct xen_trace_ring *ring, uint64_t position, void *out, size_t len)
{
	uint64_t count, straight = ring->size - ring->read;

	if (position >= ring->size)
		return -1;
	count = position >= ring->read ? position - ring->read : straight + position;
	if (count > len)
		count = len;
	if (straight > count)
		straight = count;
	memcpy(out, ring->bytes + ring->read, straight);
	memcpy((unsigned char *)out + straight, ring->bytes, count - straight);
	ring->read = (ring->read + count) % ring->size;
	return (int64_t)count;
}
