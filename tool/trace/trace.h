/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_TRACE_H
#define TOOL_TRACE_H

#include <scry/linux.h>
#include <scry/scry.h>
#include <stdbool.h>

#include "shown.h"
#include "sites.h"
#include "stat.h"
#include "watchexpr.h"

#define TRACE_SUBS  64
#define TRACE_VCPUS 64

/* One run of "scry trace". */
struct trace {
	struct scry_vm *vm;
	struct scry_linux *os;		/* the guest's, where it is Linux, to tell who; or NULL */
	struct scry_subscription subs[TRACE_SUBS];
	size_t sub_count;
	struct scry_breakpoint breakpoints[TRACE_SUBS];
	const char *symbols[TRACE_SUBS];	/* of breakpoints whose address is still to be found, or NULL */
	size_t breakpoint_count;
	struct watch_expression watches[SCRY_WATCHPOINTS];
	size_t watch_count;
	const char *sites_in;	/* a function, "all", or NULL = none are watched */
	struct tracesites sites;
	uint64_t most;		/* events to show, 0 = no end */
	unsigned ms;		/* time to run, 0 = no end */
	bool quiet, json, registers, stat;

	uint64_t began, ended, flushed, rate_shown, rate_total;
	uint64_t total, count[SHOWN_COUNT][TRACE_VCPUS];
	struct tracestat stats;		/* with `stat` */
	const char *why;	/* it ended */
};

/* Begin to be told of what it asks for: 0, or the exit status. */
int trace_arm(struct trace *trace);

/* Subscribe, show, and sum up: the exit status. */
int trace_run(struct trace *trace);

#endif
