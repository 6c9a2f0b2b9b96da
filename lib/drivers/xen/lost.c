/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "altp2m.h"
#include "events.h"
#include "lost.h"

/*
 * A page that the guest gives back and takes again, while the domain's count of pages is not
 * looked at or another goes, comes without its trap, and the count does not tell.  So of what
 * is trapped Xen is asked in turn, some frames at a time, a call each.
 */

#define FRAMES 64u

/* The first frame from *gfn on that is trapped in the view, or has a breakpoint. */
static bool next_trapped(const struct xen_events *e, unsigned view, uint64_t *gfn)
{
	uint64_t trap = *gfn, shadow = *gfn;
	bool traps = xen_runs_next(&e->views.view[view].traps, &trap);
	bool shadows = xen_runs_next(&e->breakpoints.shadows, &shadow);

	*gfn = traps && (!shadows || trap < shadow) ? trap : shadow;
	return traps || shadows;
}

/* The first frame from *gfn on that the guest has. */
static bool next_frame(const struct xen_events *e, uint64_t *gfn)
{
	const struct scry_map *map = scry_current_map(e->vm);

	for (size_t i = 0; i < map->count; i++) {
		const struct scry_region *r = &map->region[i].region;

		if (map->region[i].own || *gfn >= (r->gpa + r->size) >> 12)
			continue;
		if (*gfn < r->gpa >> 12)
			*gfn = r->gpa >> 12;
		return true;
	}
	return false;
}

static bool next(const struct xen_events *e, unsigned view, uint64_t *gfn)
{
	uint64_t trapped;

	do {
		if (!next_trapped(e, view, gfn))
			return false;
		trapped = *gfn;
		if (!next_frame(e, gfn))
			return false;
	} while (*gfn != trapped);
	return true;
}

/* Of a page that has come back a view has no entry, or one that lets everything pass. */
static bool is_lost(struct xen_events *e, unsigned view, uint64_t gfn)
{
	const struct xen_view *v = &e->views.view[view];
	uint8_t access;
	int ret = xen_altp2m_get_access(e, v->idx, gfn, &access);

	if (ret == -ESRCH)
		return xen_altp2m_get_access(e, 0, gfn, &access) == 0;
	return !ret && access != xen_altp2m_access(e, gfn, xen_runs_get(&v->traps, gfn));
}

static bool look(struct xen_events *e, struct xen_turn *turn)
{
	for (unsigned n = 0; n < FRAMES && turn->view < XEN_ALTP2MS;) {
		if (!e->views.view[turn->view].used || !next(e, turn->view, &turn->gfn)) {
			*turn = (struct xen_turn){ .view = turn->view + 1 };
			continue;
		}
		if (is_lost(e, turn->view, turn->gfn))
			return true;
		turn->gfn++;
		n++;
	}
	if (turn->view == XEN_ALTP2MS)
		*turn = (struct xen_turn){ 0 };
	return false;
}

bool xen_any_trap_lost(struct xen_events *e, struct xen_turn *turn)
{
	bool any;

	/* Whoever has it may be long: another time, then. */
	if (pthread_mutex_trylock(&e->lock))
		return false;
	any = e->views.on && look(e, turn);
	pthread_mutex_unlock(&e->lock);
	return any;
}
