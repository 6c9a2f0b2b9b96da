/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "alias.h"
#include "hold.h"
#include "ram.h"

static struct held {
	uint64_t gfn;
	unsigned by, copy;
} held[SCRY_BREAKPOINTS];
static unsigned count;

static struct held *find(uint64_t gfn)
{
	struct held *h = held;

	while (h < held + count && h->gfn != gfn)
		h++;
	return h < held + count ? h : NULL;
}

static const char *update(const struct held *h)
{
	return ram_update(h->gfn, h->by, h->copy);
}

/* A new one, where there is none.  NULL, or why it cannot be. */
static const char *get(uint64_t gfn, struct held **h)
{
	const char *why = aliases.parts ? NULL : ram_make();

	if (why)
		return why;
	*h = find(gfn);
	if (!*h) {
		*h = &held[count++];
		**h = (struct held){ .gfn = gfn };
	}
	return NULL;
}

static void put(struct held *h)
{
	update(h);
	if (!h->by && !h->copy)
		*h = held[--count];
	if (!count)
		ram_apply();
}

const char *hold(uint64_t gfn)
{
	struct held *h;
	const char *why = get(gfn, &h);

	if (why)
		return why;
	h->by++;
	why = update(h);
	if (why)
		hold_end(gfn);
	return why;
}

void hold_end(uint64_t gfn)
{
	struct held *h = find(gfn);

	h->by--;
	put(h);
}

bool hold_show(uint64_t gfn, unsigned copy)
{
	struct held *h;

	if (get(gfn, &h))
		return false;
	h->copy = copy;
	if (!update(h))
		return true;
	hold_hide(gfn);
	return false;
}

void hold_hide(uint64_t gfn)
{
	struct held *h = find(gfn);

	h->copy = 0;
	put(h);
}

unsigned hold_copy(uint64_t gfn)
{
	const struct held *h = find(gfn);

	return h ? h->copy : 0;
}

bool holds_any(void)
{
	return count;
}

void holds_place(void)
{
	for (unsigned i = 0; i < count; i++) {
		uint64_t page;
		struct alias *a = alias_of(held[i].gfn, &page);

		if (!a)
			continue;
		a->held[page] = (uint16_t)held[i].by;
		a->copy[page] = (uint16_t)held[i].copy;
	}
}

void holds_forget(void)
{
	for (unsigned i = 0; i < aliases.count; i++) {
		const struct alias *a = &aliases.alias[i];

		if (!a->size)
			continue;
		memset(a->held, 0, a->size / ALIAS_PAGE * sizeof(*a->held));
		memset(a->copy, 0, a->size / ALIAS_PAGE * sizeof(*a->copy));
	}
}

void holds_open(bool open)
{
	for (unsigned i = 0; i < count; i++) {
		if (!held[i].copy)
			continue;
		if (open)
			ram_open(held[i].gfn, true);
		else
			ram_close(held[i].gfn);
	}
}
