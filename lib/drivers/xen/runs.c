/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "runs.h"

/* Index of the first run that ends at or behind `at`. */
static size_t find(const struct xen_runs *runs, uint64_t at)
{
	size_t low = 0, high = runs->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (runs->run[middle].last < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

uint64_t xen_runs_get(const struct xen_runs *runs, uint64_t at)
{
	size_t i = find(runs, at);

	return i < runs->count && runs->run[i].first <= at ? runs->run[i].value : 0;
}

bool xen_runs_next(const struct xen_runs *runs, uint64_t *at)
{
	size_t i = find(runs, *at);

	if (i == runs->count)
		return false;
	if (runs->run[i].first > *at)
		*at = runs->run[i].first;
	return true;
}

/* Append, joined to the run before where that is the same. */
static void add(struct xen_run *run, size_t *count, struct xen_run new)
{
	struct xen_run *before = *count ? &run[*count - 1] : NULL;

	if (!new.value)
		return;
	if (before && before->value == new.value && before->last + 1 == new.first)
		before->last = new.last;
	else
		run[(*count)++] = new;
}

bool xen_runs_set(struct xen_runs *runs, uint64_t first, uint64_t last, uint64_t value)
{
	struct xen_run *run = malloc((runs->count + 2) * sizeof(*run));
	size_t from = find(runs, first), to = from, count = 0;

	if (!run)
		return false;
	for (size_t i = 0; i < from; i++)
		run[count++] = runs->run[i];
	if (from < runs->count && runs->run[from].first < first)
		add(run, &count, (struct xen_run){ runs->run[from].first, first - 1,
						   runs->run[from].value });
	add(run, &count, (struct xen_run){ first, last, value });
	while (to < runs->count && runs->run[to].last <= last)
		to++;
	for (; to < runs->count; to++) {
		struct xen_run rest = runs->run[to];

		if (rest.first <= last)
			rest.first = last + 1;
		add(run, &count, rest);
	}
	free(runs->run);
	runs->run = run;
	runs->count = count;
	return true;
}

bool xen_runs_copy(struct xen_runs *to, const struct xen_runs *from)
{
	*to = (struct xen_runs){ .count = from->count };
	if (!from->count)
		return true;
	to->run = malloc(from->count * sizeof(*from->run));
	if (!to->run)
		return false;
	memcpy(to->run, from->run, from->count * sizeof(*from->run));
	return true;
}

void xen_runs_free(struct xen_runs *runs)
{
	free(runs->run);
	*runs = (struct xen_runs){ 0 };
}
