/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_TRACE_WATCHEXPR_H
#define TOOL_TRACE_WATCHEXPR_H

#include <scry/watchpoint.h>
#include <stdbool.h>

#define WATCH_SYMBOL 128

struct watch_expression {
	struct scry_watchpoint watchpoint;	/* size 0: as large as the address permits */
	char symbol[WATCH_SYMBOL];		/* whose address it is, or "" */
};

/* watch:ADDRESS[@CR3][/SIZE][:w|rw] and watch:SYMBOL[/SIZE][:w|rw]; false: it is none. */
bool parse_watchpoint(const char *text, struct watch_expression *e);

/* Once the address is known. */
void watchpoint_size(struct scry_watchpoint *watchpoint);

#endif
