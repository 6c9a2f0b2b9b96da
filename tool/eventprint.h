/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_EVENTPRINT_H
#define TOOL_EVENTPRINT_H

#include <scry/event.h>
#include <stdbool.h>

/*
 * An event on stdout, ns after the trace began: one line, with its registers a
 * few more; or one line of JSON.
 */
void event_heading(void);
void event_print(const struct scry_event *event, uint64_t ns, bool registers);
void event_print_json(const struct scry_event *event, uint64_t ns, bool registers);

static inline bool is_page_fault(const struct scry_event *event)
{
	return event->interrupt.type == SCRY_INTERRUPT_EXCEPTION && event->interrupt.vector == 14;
}

/* "gdtr", "rw": as in an expression. */
const char *table_name(uint32_t table);
const char *access_name(uint32_t access);

#endif
