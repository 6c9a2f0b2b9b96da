/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_TRACE_SHOWN_H
#define TOOL_TRACE_SHOWN_H

#include <scry/event.h>

#include "../common/term.h"

/* Kinds of events as they are counted and shown: writing each CR is one of its own. */
#define SHOWN_KINDS(X) \
	X(CR0, "cr0", YELLOW)		X(CR2, "cr2", YELLOW)		X(CR3, "cr3", CYAN) \
	X(CR4, "cr4", YELLOW)		X(CR8, "cr8", YELLOW)		X(RDCR, "rdcr", BLUE) \
	X(CPUID, "cpuid", GREEN)	X(RDMSR, "rdmsr", BLUE)		X(WRMSR, "wrmsr", RED) \
	X(INT3, "int3", BOLD)		X(XSETBV, "xsetbv", YELLOW)	X(RDDR, "rddr", BLUE) \
	X(DR, "dr", RED)		X(DESC, "desc", YELLOW)		X(HYPERCALL, "hypercall", BOLD) \
	X(IO, "io", GREEN)		X(HLT, "hlt", PLAIN)		X(RDTSC, "rdtsc", PLAIN) \
	X(INVLPG, "invlpg", CYAN)	X(SYSCALL, "syscall", PLAIN)	X(INT, "int", RED) \
	X(STEP, "step", PLAIN)		X(MEM, "mem", BLUE)		X(BREAK, "break", BOLD) \
	X(SHUTDOWN, "shutdown", RED)	X(START, "start", BOLD)		X(WATCH, "watch", BOLD)

enum shown_kind {
#define SHOWN_ENUM(NAME, name, colour) SHOWN_##NAME,
	SHOWN_KINDS(SHOWN_ENUM)
#undef SHOWN_ENUM
	SHOWN_COUNT
};

enum shown_kind shown_kind(const struct scry_event *event);
const char *shown_name(enum shown_kind kind);
enum colour shown_colour(enum shown_kind kind);

#endif
