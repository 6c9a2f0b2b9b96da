/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../common/memmap.h"
#include "../common/message.h"
#include "../common/parse.h"
#include "../common/term.h"
#include "demo.h"

#define QUESTIONS 5000
#define MSR_TSC_AUX 0xc0000103u
#define CHUNK (UINT64_C(1) << 20)
#define LOOPS 50000
#define LOOP_LEAF 0x40000123u	/* that the guest's command "cpuids" asks for */
#define PATIENCE_MS 20000

static int by_size(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Nanoseconds from a question to a stopped vCPU to its answer, the median; or < 0. */
static double vcpu_trip(struct demo *d)
{
	uint64_t ns[QUESTIONS], value;

	if (scry_pause(d->vm) < 0)
		return -1;
	for (int i = 0; i < QUESTIONS; i++) {
		uint64_t began = now_ns();

		if (scry_msr_get(d->vm, 0, MSR_TSC_AUX, &value) < 0)
			return -1;
		ns[i] = now_ns() - began;
	}
	qsort(ns, QUESTIONS, sizeof(ns[0]), by_size);
	return scry_resume(d->vm) < 0 ? -1 : (double)ns[QUESTIONS / 2];
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

/* How long after the one before; the first of the step comes after none. */
static void note_interval(struct demo *d, const struct scry_event *event, struct scry_reply *reply)
{
	uint64_t now = now_ns();

	(void)event;
	(void)reply;
	if (d->last_event && d->step_events - 2 < LOOPS)
		d->intervals[d->step_events - 2] = now - d->last_event;
	d->last_event = now;
}

static bool has_looped(const struct demo *d)
{
	return d->console.cpuids > d->mark;
}

/* Have the guest loop over CPUID, and see each. */
static int watch_loop(struct demo *d)
{
	struct scry_subscription sub = { .sz = sizeof(sub), .kind = SCRY_EVENT_CPUID,
					 .cpuid = { .use_leaf = 1, .leaf = LOOP_LEAF } };
	char command[32];

	d->on_event = note_interval;
	d->last_event = d->step_events = 0;
	d->mark = d->console.cpuids;
	if (demo_subscribe(d, &sub) < 0)
		return EXIT_FAILURE;
	snprintf(command, sizeof(command), "cpuids %d\n", LOOPS);
	if (write(d->child.in, command, strlen(command)) < 0)
		return fail("cannot type on the guest's console: %s", strerror(errno));
	if (demo_wait(d, has_looped, PATIENCE_MS, "the guest did not answer the command 'cpuids'"))
		return EXIT_FAILURE;
	if (d->step_events != LOOPS)
		return fail("the guest executed CPUID %d times, and %" PRIu64 " were seen", LOOPS,
			    d->step_events);
	return 0;
}

/* Nanoseconds from one CPUID in the loop to the next, each answered by us: the median; or < 0. */
static double event_trip(struct demo *d)
{
	double median = -1;

	d->intervals = checked(calloc(LOOPS, sizeof(*d->intervals)));
	if (!watch_loop(d)) {
		qsort(d->intervals, LOOPS - 1, sizeof(*d->intervals), by_size);
		median = (double)d->intervals[LOOPS / 2];
	}
	free(d->intervals);
	d->intervals = NULL;
	return median;
}

int demo_figures(struct demo *d)
{
	double event = event_trip(d), question, speed;
	char size[32];

	if (event < 0)
		return EXIT_FAILURE;
	question = vcpu_trip(d);
	speed = question < 0 ? 0 : read_speed(d);
	if (speed <= 0)
		return fail_lib();
	show("events seen                             %10" PRIu64, d->events);
	show("CPUID in a guest loop, event and reply  %10.0f ns, median", event);
	show("question to a stopped vCPU, and answer  %10.0f ns, median", question);
	show("copying all guest RAM to a buffer       %10s/s",
	     format_size(size, sizeof(size), (uint64_t)speed));
	show("attaching, after the last was killed    %10.1f ms at most", d->attach_ms);
	show("all of this demo                        %10.1f s",
	     (double)(now_ns() - d->began) / 1e9);
	return 0;
}
