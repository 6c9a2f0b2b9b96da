/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <stdio.h>

#include "agent/vcpu/vcpu.h"
#include "memory_map.h"
#include "phys.h"

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

struct access {
	uint64_t gpa, len;
	void *data;
	bool write;
	char *text;
	size_t size;
	int status;
};

static void run(struct qemu_cpu *cpu, void *opaque)
{
	struct access *a = opaque;

	(void)cpu;
	bql_lock();
	a->status = check(a->gpa, a->len, a->write, a->text, a->size);
	if (!a->status)
		qemu.address_space_rw(qemu.address_space_memory, a->gpa, 0, a->data, a->len,
				      a->write);
	if (!a->status && a->write)
		atomic_fetch_add(&writes, 1);
	qemu.bql_unlock();
}

int phys_access(uint64_t gpa, void *data, uint64_t len, bool write, char *text, size_t size)
{
	struct access a = { .gpa = gpa, .len = len, .data = data, .write = write,
			    .text = text, .size = size };

	/*
	 * QEMU drops what it has translated from bytes that are written, but not
	 * what a vCPU is translating from the former ones at that moment.
	 */
	if (write)
		vcpu_run_exclusive(run, &a);
	else
		run(NULL, &a);
	return a.status;
}
