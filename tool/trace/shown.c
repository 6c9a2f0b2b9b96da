/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shown.h"

static const struct {
	const char *name;
	enum colour colour;
} shown[] = {
#define SHOWN_ROW(NAME, name, colour) { name, colour },
	SHOWN_KINDS(SHOWN_ROW)
#undef SHOWN_ROW
};

static const enum shown_kind of_kind[SCRY_EVENT_COUNT] = {
	[SCRY_EVENT_CR_READ] = SHOWN_RDCR,	[SCRY_EVENT_CPUID] = SHOWN_CPUID,
	[SCRY_EVENT_MSR_READ] = SHOWN_RDMSR,	[SCRY_EVENT_MSR_WRITE] = SHOWN_WRMSR,
	[SCRY_EVENT_INT3] = SHOWN_INT3,		[SCRY_EVENT_XSETBV] = SHOWN_XSETBV,
	[SCRY_EVENT_DR_READ] = SHOWN_RDDR,	[SCRY_EVENT_DR_WRITE] = SHOWN_DR,
	[SCRY_EVENT_DESCRIPTOR] = SHOWN_DESC,	[SCRY_EVENT_HYPERCALL] = SHOWN_HYPERCALL,
	[SCRY_EVENT_IO] = SHOWN_IO,		[SCRY_EVENT_HLT] = SHOWN_HLT,
	[SCRY_EVENT_RDTSC] = SHOWN_RDTSC,	[SCRY_EVENT_INVLPG] = SHOWN_INVLPG,
	[SCRY_EVENT_SYSCALL] = SHOWN_SYSCALL,	[SCRY_EVENT_INTERRUPT] = SHOWN_INT,
	[SCRY_EVENT_STEP] = SHOWN_STEP,		[SCRY_EVENT_MEMORY] = SHOWN_MEM,
	[SCRY_EVENT_BREAKPOINT] = SHOWN_BREAK,	[SCRY_EVENT_SHUTDOWN] = SHOWN_SHUTDOWN,
	[SCRY_EVENT_START] = SHOWN_START,	[SCRY_EVENT_WATCHPOINT] = SHOWN_WATCH,
};

static const enum shown_kind of_cr[] = {
	[0] = SHOWN_CR0, [2] = SHOWN_CR2, [3] = SHOWN_CR3, [4] = SHOWN_CR4, [8] = SHOWN_CR8,
};

enum shown_kind shown_kind(const struct scry_event *event)
{
	return event->kind == SCRY_EVENT_CR_WRITE ? of_cr[event->cr.cr] : of_kind[event->kind];
}

const char *shown_name(enum shown_kind kind)
{
	return shown[kind].name;
}

enum colour shown_colour(enum shown_kind kind)
{
	return shown[kind].colour;
}
