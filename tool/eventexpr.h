/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_EVENTEXPR_H
#define TOOL_EVENTEXPR_H

#include <scry/event.h>
#include <stdbool.h>

/* What the help and the error say of event expressions. */
#define EVENT_EXPRESSIONS \
	"cr0, cr3, cr4, cpuid[:LEAF[.SUBLEAF]], rdmsr[:MSR], wrmsr[:MSR], msr[:MSR], int3"

/*
 * What an event expression asks for: one subscription, or two ("msr" is
 * reading and writing).  Returns their number, or 0 if it is no expression.
 */
int parse_event(const char *text, struct scry_subscription subs[2]);

#endif
