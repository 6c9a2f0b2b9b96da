/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <stdio.h>

#include "memory_map.h"
#include "phys.h"
#include "qemu.h"

static _Atomic unsigned writes;

unsigned phys_writes(void)
{
	return atomic_load_explicit(&writes, memory_order_acquire);
}

static const struct scry_agent_region *region_at(const struct memory_map *map, uint64_t gpa)
{
	for (uint32_t i = 0; i < map->count; i++)
		if (gpa >= map->region[i].gpa && gpa - map->region[i].gpa < map->region[i].size)
			return &map->region[i];
	return NULL;
}

static int check(uint64_t gpa, uint64_t len, bool write, char *text, size_t size)
{
	while (len) {
		const struct scry_agent_region *r = region_at(memory_map(), gpa);
		uint64_t left;

		if (!r) {
			snprintf(text, size, "no guest memory at 0x%" PRIx64, gpa);
			return SCRY_E_ADDRESS;
		}
		if (write && (r->flags & SCRY_REGION_ROM)) {
			snprintf(text, size, "the memory at 0x%" PRIx64 " is ROM: it cannot be written",
				 gpa);
			return SCRY_E_REFUSED;
		}
		left = r->size - (gpa - r->gpa);
		left = left < len ? left : len;
		gpa += left;
		len -= left;
	}
	return 0;
}

int phys_access(uint64_t gpa, void *data, uint64_t len, bool write, char *text, size_t size)
{
	int status;

	bql_lock();
	status = check(gpa, len, write, text, size);
	if (!status) {
		/* QEMU drops what it has translated from the bytes that are written. */
		qemu.address_space_rw(qemu.address_space_memory, gpa, 0, data, len, write);
		if (write)
			atomic_fetch_add(&writes, 1);
	}
	qemu.bql_unlock();
	return status;
}
