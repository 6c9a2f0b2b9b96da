/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_XEN_RUNS_H
#define SCRY_XEN_RUNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Numbers to numbers: stretches of one value, ascending; what lies in none has 0. */
struct xen_run {
	uint64_t first, last, value;
};

struct xen_runs {
	struct xen_run *run;
	size_t count;
};

uint64_t xen_runs_get(const struct xen_runs *runs, uint64_t at);
/* The first number from *at on that has a value, into *at; false if there is none. */
bool xen_runs_next(const struct xen_runs *runs, uint64_t *at);
/* False, and nothing changed, when out of memory. */
bool xen_runs_set(struct xen_runs *runs, uint64_t first, uint64_t last, uint64_t value);
bool xen_runs_copy(struct xen_runs *to, const struct xen_runs *from);
void xen_runs_free(struct xen_runs *runs);

#endif
