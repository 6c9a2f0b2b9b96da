/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_EVENTPRINT_H
#define TOOL_EVENTPRINT_H

#include <scry/event.h>

/*
 * Kinds of events as they are counted and shown: writing each CR is one of its own.
 */
enum shown_kind { SHOWN_CR0, SHOWN_CR2, SHOWN_CR3, SHOWN_CR4, SHOWN_CR8, SHOWN_RDCR, SHOWN_CPUID,
		  SHOWN_RDMSR, SHOWN_WRMSR, SHOWN_INT3, SHOWN_XSETBV, SHOWN_RDDR, SHOWN_DR,
		  SHOWN_DESC, SHOWN_HYPERCALL, SHOWN_IO, SHOWN_HLT, SHOWN_RDTSC, SHOWN_INVLPG,
		  SHOWN_SYSCALL, SHOWN_INT, SHOWN_STEP, SHOWN_COUNT };

enum shown_kind shown_kind(const struct scry_event *event);
const char *shown_name(enum shown_kind kind);

/* One line on stdout; ns is the time since the trace began. */
void event_heading(void);
void event_print(const struct scry_event *event, uint64_t ns);
void event_print_json(const struct scry_event *event, uint64_t ns);

#endif
