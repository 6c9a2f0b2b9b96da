/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "areas.h"
#include "bits.h"

/*
 * A page that is mapped here stays the domain's when the guest gives it back, and is
 * counted as such; so what is mapped is asked for in turn, a part at a time.
 */

/* The part of that number, of all that are mapped: its first frame, and in *count how many. */
static const struct xen_area *find_part(const struct xen_vm *x, unsigned number, uint64_t *first,
					uint64_t *count)
{
	for (const struct xen_area *a = x->areas; a && !a->stale; a = a->next)
		for (*first = 0; *first < a->count; *first += XEN_AREA_PART) {
			if (!test_bit(a->mapped, *first / XEN_AREA_PART) || number--)
				continue;
			*count = a->count - *first < XEN_AREA_PART ? a->count - *first : XEN_AREA_PART;
			return a;
		}
	return NULL;
}

bool xen_any_vanished(struct xen_vm *x, unsigned *turn)
{
	xen_pfn_t types[XEN_AREA_PART];
	uint64_t absent[XEN_AREA_PART / 64] = { 0 }, first, count = 0;
	const struct xen_area *a;

	pthread_mutex_lock(&x->vm->map_lock);
	a = find_part(x, *turn, &first, &count);
	for (uint64_t i = 0; i < count; i++) {
		types[i] = a->gfn + first + i;
		if (test_bit(a->absent, first + i))
			set_bit(absent, i);
	}
	pthread_mutex_unlock(&x->vm->map_lock);
	*turn = a ? *turn + 1 : 0;
	if (!a || XEN_CALL(x, xc_get_pfn_type_batch, (unsigned)count, types) < 0)
		return false;
	for (uint64_t i = 0; i < count; i++)
		if (!xen_frame_is_there(types[i]) && !test_bit(absent, i))
			return true;
	return false;
}
