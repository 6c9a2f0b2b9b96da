/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a trace asks for, armed: subscriptions, traps on memory, break- and watchpoints. */
#include <stdlib.h>

#include "../common/message.h"
#include "trace.h"

#define FRAME_SHIFT 12
#define FRAME_LAST  ((UINT64_C(1) << 40) - 1)

/* The frames of a subscription to memory; false if there is none of them. */
static bool frames_of(const struct scry_subscription *sub, uint64_t *first, uint64_t *last)
{
	if (sub->kind != SCRY_EVENT_MEMORY)
		return false;
	*first = sub->memory.first >> FRAME_SHIFT;
	*last = sub->memory.last >> FRAME_SHIFT;
	if (*last > FRAME_LAST)
		*last = FRAME_LAST;
	return *first <= *last;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* All that is asked for of a frame. */
static uint32_t wanted(const struct trace *t, uint64_t gfn)
{
	uint64_t first, last;
	uint32_t access = 0;

	for (size_t i = 0; i < t->sub_count; i++)
		if (frames_of(&t->subs[i], &first, &last) && gfn >= first && gfn <= last)
			access |= t->subs[i].memory.access;
	return access;
}

/* Ranges may overlap: between two neighbouring bounds all frames are alike. */
static int protect(struct trace *t)
{
	uint64_t bounds[2 * TRACE_SUBS], first, last;
	size_t n = 0;

	for (size_t i = 0; i < t->sub_count; i++) {
		if (frames_of(&t->subs[i], &first, &last)) {
			bounds[n++] = first;
			bounds[n++] = last + 1;
		}
	}
	qsort(bounds, n, sizeof(bounds[0]), compare);
	for (size_t i = 1; i < n; i++) {
		uint32_t access = wanted(t, bounds[i - 1]);

		if (bounds[i] == bounds[i - 1] || !access)
			continue;
		if (scry_view_protect(t->vm, 0, bounds[i - 1], bounds[i] - bounds[i - 1], access) < 0)
			return -1;
	}
	return 0;
}

static int find_symbol(struct trace *t, const char *name, uint64_t *address)
{
	if (!t->os && scry_linux_open(t->vm, &t->os) < 0)
		return fail_lib();
	return scry_linux_symbol(t->os, name, address) < 0 ? fail_lib() : 0;
}

/* A breakpoint is at a symbol of a Linux guest's kernel, where a name was given. */
static int find_symbols(struct trace *t)
{
	for (size_t i = 0; i < t->breakpoint_count; i++)
		if (t->symbols[i] && find_symbol(t, t->symbols[i], &t->breakpoints[i].address))
			return EXIT_FAILURE;
	return 0;
}

static int set_watchpoints(struct trace *t)
{
	for (size_t i = 0; i < t->watch_count; i++) {
		struct watch_expression *e = &t->watches[i];

		if (e->symbol[0] && find_symbol(t, e->symbol, &e->watchpoint.address))
			return EXIT_FAILURE;
		watchpoint_size(&e->watchpoint);
		if (scry_watchpoint_add(t->vm, &e->watchpoint) < 0)
			return fail_lib();
	}
	return 0;
}

int trace_arm(struct trace *t)
{
	if (find_symbols(t))
		return EXIT_FAILURE;
	if (scry_event_times(t->vm, t->stat) < 0)
		return fail_lib();
	for (size_t i = 0; i < t->sub_count; i++)
		if (!(t->sites_in && sites_can(&t->subs[i])) &&
		    scry_subscribe(t->vm, &t->subs[i]) < 0)
			return fail_lib();
	if (t->sites_in && sites_arm(t))
		return EXIT_FAILURE;
	if (protect(t) < 0)
		return fail_lib();
	for (size_t i = 0; i < t->breakpoint_count; i++)
		if (scry_breakpoint_add(t->vm, &t->breakpoints[i]) < 0)
			return fail_lib();
	return set_watchpoints(t);
}
