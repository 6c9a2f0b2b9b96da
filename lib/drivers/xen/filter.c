/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../../match.h"
#include "events.h"

/* Each of those with a count counts its own steps. */
static bool match(struct xen_sub *s, const struct scry_event *event)
{
	if (!s->number || !scry_matches(&s->sub, event))
		return false;
	return event->kind != SCRY_EVENT_STEP || !s->sub.step.count ||
	       ++s->steps % s->sub.step.count == 0;
}

bool xen_filter(struct xen_events *e, const struct scry_event *event)
{
	bool any = event->kind == SCRY_EVENT_BREAKPOINT && event->breakpoint.number;

	for (unsigned i = 0; i < XEN_SUBSCRIPTIONS; i++)
		any |= match(&e->sub[i], event);
	return any;
}

bool xen_wanted(const struct xen_events *e, enum scry_event_kind kind)
{
	if (kind == SCRY_EVENT_BREAKPOINT)
		return true;
	for (unsigned i = 0; i < XEN_SUBSCRIPTIONS; i++)
		if (e->sub[i].number && e->sub[i].sub.kind == kind)
			return true;
	/* An int3 is an interrupt, too. */
	return kind == SCRY_EVENT_INT3 && xen_wanted(e, SCRY_EVENT_INTERRUPT);
}
