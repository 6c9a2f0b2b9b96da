/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_TRACE_EXPR_H
#define TOOL_TRACE_EXPR_H

#include <scry/breakpoint.h>
#include <scry/event.h>
#include <stdbool.h>

/* What the help says of event expressions. */
#define EVENT_EXPRESSIONS \
	"  cr0 cr2 cr3 cr4 cr8 [:r|w|rw]      control registers\n" \
	"  dr, dr0 to dr7 [:r|w|rw]           debug registers\n" \
	"  msr[:MSR][:r|w|rw]                 model-specific registers\n" \
	"  desc[:gdtr|idtr|ldtr|tr][:r|w|rw]  descriptor-table registers\n" \
	"  io[:PORT[-PORT]][:r|w|rw]          ports\n" \
	"  int[:VECTOR|exception|software|hardware|nmi]\n" \
	"  cpuid[:LEAF[.SUBLEAF]]\n" \
	"  step[:COUNT|FIRST-LAST][:noint]    single-step: each, each COUNTth, or with rip outside;\n" \
	"                                     noint holds interrupts back\n" \
	"  mem[:ADDRESS[-ADDRESS]][:rwx]      guest-physical memory\n" \
	"  break:ADDRESS[@CR3][:phys]         hidden breakpoint, in all address spaces or one\n" \
	"  break:SYMBOL                       at a symbol of a Linux guest's kernel or modules\n" \
	"  watch:ADDRESS[@CR3][/SIZE][:w|rw]  bytes accessed, by a debug register: 1, 2, 4 or 8\n" \
	"  watch:SYMBOL[/SIZE][:w|rw]         the same at a symbol of a Linux guest's kernel\n" \
	"  shutdown[:reset|off|triple-fault]  the guest resets the machine or switches it off\n" \
	"  xsetbv hypercall hlt rdtsc invlpg syscall int3 start\n"

/*
 * What an event expression asks for: one subscription, or two (reading and
 * writing are two kinds of event).  Returns their number, or 0 if it is no expression.
 */
int parse_event(const char *text, struct scry_subscription subs[2]);

/* Those that are breakpoints. */
bool parse_breakpoint(const char *text, struct scry_breakpoint *breakpoint);

/* The same with a symbol for the address, which is to be found: *name points into text. */
bool parse_breakpoint_by_name(const char *text, struct scry_breakpoint *breakpoint,
			      const char **name);

/* Can it be a symbol's name? */
bool is_symbol(const char *text);

/* "exception", "reset", ...: as in an expression. */
const char *interrupt_type_name(enum scry_interrupt_type type);
const char *shutdown_type_name(enum scry_shutdown_type type);

#endif
