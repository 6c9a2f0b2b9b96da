/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "../../ram.h"
#include "events.h"

/* The core has checked that all of it is memory; the map may have changed since. */
static int write_through(const struct scry_map *map, uint64_t gpa, const void *buf, size_t len)
{
	const char *from = buf;

	while (len) {
		const struct scry_mapped_region *r = scry_region_of(map, gpa);
		uint64_t offset;
		size_t n;

		if (!r)
			return scry_fail(SCRY_E_ADDRESS, "no guest memory at 0x%llx",
					 (unsigned long long)gpa);
		if (!r->host)
			return 0;	/* of a map that is past: once more */
		offset = gpa - r->region.gpa;
		n = len < r->region.size - offset ? len : r->region.size - offset;
		memcpy(r->host + offset, from, n);
		gpa += n;
		from += n;
		len -= n;
	}
	return 0;
}

/* Once more if a page that it went to was the guest's no longer. */
int xen_write(struct scry_vm *vm, uint64_t gpa, const void *buf, size_t len)
{
	const struct scry_map *map;
	int ret;

	do {
		ret = scry_live_map(vm, &map);
		if (!ret)
			ret = scry_reach(vm, &map, gpa, len);
		if (!ret)
			ret = write_through(map, gpa, buf, len);
	} while (!ret && !scry_still_live(map));
	if (!ret)
		xen_breakpoints_written(vm, gpa, len);
	return ret;
}
