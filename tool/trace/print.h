/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_TRACE_PRINT_H
#define TOOL_TRACE_PRINT_H

#include <scry/event.h>
#include <stdbool.h>

struct scry_linux_task;

/*
 * An event on stdout, ns after the trace began: one line, with its registers a
 * few more; or one line of JSON.  Where the guest is Linux, task is what its vCPU runs
 * (else NULL), and with_task whether there is room for it.
 */
void event_heading(bool with_task);
void event_print(const struct scry_event *event, uint64_t ns, bool registers,
		 const struct scry_linux_task *task);
void event_print_json(const struct scry_event *event, uint64_t ns, bool registers,
		      const struct scry_linux_task *task);

static inline bool is_page_fault(const struct scry_event *event)
{
	return event->interrupt.type == SCRY_INTERRUPT_EXCEPTION && event->interrupt.vector == 14;
}

/* "gdtr", "rw": as in an expression. */
const char *table_name(uint32_t table);
const char *access_name(uint32_t access);

#endif
