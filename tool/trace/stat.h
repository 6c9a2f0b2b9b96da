/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_TRACE_STAT_H
#define TOOL_TRACE_STAT_H

#include <scry/event.h>

/* Counts and latencies of events by kind, vCPU and address space.  Zero-initialise. */
struct tracestat {
	void *tree;		/* of rows, for tsearch() */
	struct stat_row *rows;	/* the same, in a chain */
	unsigned count;
};

/* An event whose vCPU waited so long. */
void stat_add(struct tracestat *stat, const struct scry_event *event, uint64_t ns);

/* A table of the rows with most events; or all as a member of a JSON object. */
void stat_print(const struct tracestat *stat, double seconds);
void stat_print_json(const struct tracestat *stat, double seconds);

void stat_free(struct tracestat *stat);

#endif
