/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_GUARD_H
#define SCRY_GUARD_H

#include <stddef.h>
#include <stdint.h>

/*
 * A file that is mapped can be shortened by anybody, or its disk fail: a load
 * behind its end is then a SIGBUS, in whatever thread and function it happens.
 * There is no other way to hear of it than a handler, which belongs to the whole
 * process: this is the one piece of state that libscry has outside its handles.
 * Installed while such a file is mapped, it puts an empty page where the fault was and
 * ends the map's life, so that whoever reads sees, behind the read, that the map
 * is no longer true (memory.h), and reports an error.  Faults elsewhere go to the
 * handler that was there before.  A program that installs its own handler while
 * a VM or a dump is open loses the guard, and nothing else.
 */
struct scry_guard {
	uint64_t life;		/* SCRY_GUARD_ALIVE, or SCRY_GUARD_BROKEN once a load failed */
};

#define SCRY_GUARD_ALIVE  1u
#define SCRY_GUARD_BROKEN 2u

/*
 * Watch over a mapping until scry_guard_end(); NULL when out of memory.  Another life that
 * ends with the guard's may be given.
 */
struct scry_guard *scry_guard_begin(const void *map, size_t size, uint64_t *other_life);
void scry_guard_end(struct scry_guard *guard);

#endif
