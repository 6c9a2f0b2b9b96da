/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "../common/message.h"
#include "trace.h"

#define KINDS \
	(1u << SCRY_EVENT_CR_WRITE | 1u << SCRY_EVENT_CR_READ | 1u << SCRY_EVENT_DR_WRITE | \
	 1u << SCRY_EVENT_DR_READ | 1u << SCRY_EVENT_CPUID | 1u << SCRY_EVENT_XSETBV | \
	 1u << SCRY_EVENT_DESCRIPTOR | 1u << SCRY_EVENT_HYPERCALL)

bool sites_can(const struct scry_subscription *sub)
{
	return KINDS >> sub->kind & 1;
}

/* Can it be asked for there, as far as the instruction says? */
static bool may_match(const struct scry_subscription *sub, const struct scry_linux_site *site)
{
	if (sub->kind != site->kind)
		return false;
	switch (site->kind) {
	case SCRY_EVENT_CR_WRITE:
	case SCRY_EVENT_CR_READ:
		return sub->cr.cr == site->number;
	case SCRY_EVENT_DR_WRITE:
	case SCRY_EVENT_DR_READ:
		return !sub->dr.mask || sub->dr.mask >> (site->number & 7) & 1;
	case SCRY_EVENT_DESCRIPTOR:
		return (!sub->desc.tables || sub->desc.tables >> site->number & 1) &&
		       (!sub->desc.access || sub->desc.access & site->access);
	}
	return true;
}

static bool is_wanted(const struct trace *t, const struct scry_linux_site *site)
{
	struct scry_linux_symbol symbol;
	bool wanted = false;

	for (size_t i = 0; i < t->sub_count && !wanted; i++)
		wanted = may_match(&t->subs[i], site);
	if (!wanted || !strcmp(t->sites_in, "all"))
		return wanted;
	return !scry_linux_symbol_at(t->os, site->address, &symbol) &&
	       !strcmp(symbol.name, t->sites_in);
}

static int add(const struct scry_linux_site *site, void *opaque)
{
	struct trace *t = opaque;
	struct tracesites *s = &t->sites;

	if (!is_wanted(t, site))
		return 0;
	if (s->count == s->room) {
		size_t room = s->room ? 2 * s->room : 64;
		struct tracesite *list = realloc(s->list, room * sizeof(*list));

		if (!list)
			return SCRY_E_NOMEM;
		s->list = list;
		s->room = room;
	}
	s->list[s->count++] = (struct tracesite){ .site = *site };
	return 0;
}

int sites_arm(struct trace *t)
{
	struct tracesites *s = &t->sites;
	uint64_t vcpus = t->sub_count ? t->subs[0].vcpus : 0;

	if (scry_linux_sites(t->os, KINDS, add, t) < 0)
		return fail_lib();
	if (!s->count)
		return fail("there is no such instruction in %s: scry syms lists the kernel's functions; "
			    "\"all\" means each of them", t->sites_in);
	for (size_t i = 0; i < s->count; i++) {
		struct scry_breakpoint b = { .sz = sizeof(b), .address = s->list[i].site.address,
					     .vcpus = vcpus, .flags = SCRY_BREAKPOINT_VISIBLE };

		s->list[i].number = scry_breakpoint_add(t->vm, &b);
		if (s->list[i].number < 0)
			return fail_lib();
	}
	note("watched: %zu such instruction%s in the kernel's text%s%s; not those of modules, BPF or user "
	     "space", s->count, s->count == 1 ? "" : "s", strcmp(t->sites_in, "all") ? ", of " : "",
	     strcmp(t->sites_in, "all") ? t->sites_in : "");
	return 0;
}

static const struct scry_linux_site *find(const struct tracesites *s, const struct scry_event *event)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->list[i].site.address == event->rip)
			return &s->list[i].site;
	return NULL;
}

bool sites_see(const struct trace *t, struct scry_event *event)
{
	const struct scry_linux_site *site = event->kind == SCRY_EVENT_BREAKPOINT ?
					     find(&t->sites, event) : NULL;

	if (!site)
		return true;
	for (size_t i = 0; i < t->sub_count; i++)
		if (t->subs[i].kind == site->kind &&
		    scry_linux_site_event(t->os, site, &t->subs[i], event) > 0)
			return true;
	return false;
}

void sites_free(struct tracesites *s)
{
	free(s->list);
}
