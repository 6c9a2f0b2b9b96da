/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_TRACE_SITES_H
#define TOOL_TRACE_SITES_H

#include <scry/linux.h>
#include <stdbool.h>

struct trace;

/* Where the hypervisor tells nothing of them: breakpoints on a Linux guest's instructions. */
struct tracesites {
	struct tracesite {
		struct scry_linux_site site;
		int number;		/* the breakpoint's */
	} *list;
	size_t count, room;
};

/* Can a subscription be had so? */
bool sites_can(const struct scry_subscription *sub);

/* Plant them for each subscription that can be had so: 0, or the exit status. */
int sites_arm(struct trace *trace);

/*
 * While the event waits: if it is of such a breakpoint, make it the instruction's.  True: it
 * is to be shown.
 */
bool sites_see(const struct trace *trace, struct scry_event *event);

void sites_free(struct tracesites *sites);

#endif
