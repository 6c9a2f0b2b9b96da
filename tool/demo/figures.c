/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>

#include "../memmap.h"
#include "../message.h"
#include "../parse.h"
#include "../term.h"
#include "demo.h"

#define ROUNDS 10000
#define MSR_TSC_AUX 0xc0000103u
#define CHUNK (UINT64_C(1) << 20)

/* Nanoseconds from a question to a stopped vCPU to its answer, or < 0. */
static double round_trip(struct demo *d)
{
	uint64_t began, value;

	if (scry_vcpu_pause(d->vm, 0) < 0)
		return -1;
	began = now_ns();
	for (int i = 0; i < ROUNDS; i++)
		if (scry_msr_get(d->vm, 0, MSR_TSC_AUX, &value) < 0)
			return -1;
	began = now_ns() - began;
	return scry_vcpu_resume(d->vm, 0) < 0 ? -1 : (double)began / ROUNDS;
}

/* Copy all of the mapped RAM, and return how many bytes that was, or 0. */
static uint64_t read_all(struct demo *d, const struct memmap *map, char *buf)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < map->count; i++) {
		const struct scry_region *r = &map->regions[i];

		if (!(r->flags & SCRY_REGION_MAPPED))
			continue;
		for (uint64_t at = 0; at < r->size; at += CHUNK) {
			size_t len = r->size - at < CHUNK ? (size_t)(r->size - at) : (size_t)CHUNK;

			if (scry_read_phys(d->vm, r->gpa + at, buf, len) < 0)
				return 0;
			bytes += len;
		}
	}
	return bytes;
}

/* Bytes per second, or 0. */
static double read_speed(struct demo *d)
{
	char *buf = checked(malloc(CHUNK));
	uint64_t bytes = 0, began;
	struct memmap map;

	if (memmap_get(d->vm, &map) < 0) {
		free(buf);
		return 0;
	}
	/* Once before, since the first use of a page of the mapping costs a fault. */
	if (read_all(d, &map, buf)) {
		began = now_ns();
		bytes = read_all(d, &map, buf);
		began = now_ns() - began;
	}
	memmap_free(&map);
	free(buf);
	return bytes ? (double)bytes / ((double)began / 1e9) : 0;
}

int demo_figures(struct demo *d)
{
	double trip = round_trip(d), speed = read_speed(d);
	char size[32];

	if (trip < 0 || speed <= 0)
		return fail_lib();
	show("events seen                            %10" PRIu64, d->events);
	show("live stream                            %10.0f per second", d->rate);
	show("question to a stopped vCPU and answer  %10.0f ns", trip);
	show("copying all guest RAM to a buffer      %10s/s",
	     format_size(size, sizeof(size), (uint64_t)speed));
	show("attaching, after the last was killed   %10.1f ms at most", d->attach_ms);
	show("all of this demo                       %10.1f s", (double)(now_ns() - d->began) / 1e9);
	return 0;
}
