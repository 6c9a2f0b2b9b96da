/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_DUMP_GUARD_H
#define SCRY_DUMP_GUARD_H

#include <stddef.h>
#include <stdint.h>

/*
 * A file that is mapped can be shortened by anybody, or its disk fail: a load
 * behind its end is then a SIGBUS, in whatever thread and function it happens.
 * There is no other way to hear of it than a handler, which belongs to the whole
 * process: this is the one piece of state that libscry has outside its handles.
 * Installed while a dump is mapped, it puts an empty page where the fault was and
 * ends the map's life, so that whoever reads sees, behind the read, that the map
 * is no longer true (memory.h), and reports an error.  Faults elsewhere go to the
 * handler that was there before.  A program that installs its own handler while
 * a dump is open loses the guard, and nothing else.
 */
struct dump_guard {
	uint64_t life;		/* DUMP_ALIVE, or DUMP_BROKEN once a load failed */
};

#define DUMP_ALIVE  1u
#define DUMP_BROKEN 2u

/* Watch over a mapping until dump_guard_end(); NULL when out of memory. */
struct dump_guard *dump_guard_begin(const void *map, size_t size);
void dump_guard_end(struct dump_guard *guard);

#endif
