/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>

#include "eventprint.h"
#include "msrname.h"
#include "term.h"

static const struct {
	const char *name;
	enum colour colour;
} shown[SHOWN_COUNT] = {
	[SHOWN_CR0] = { "cr0", YELLOW },	[SHOWN_CR3] = { "cr3", CYAN },
	[SHOWN_CR4] = { "cr4", YELLOW },	[SHOWN_CPUID] = { "cpuid", GREEN },
	[SHOWN_RDMSR] = { "rdmsr", BLUE },	[SHOWN_WRMSR] = { "wrmsr", RED },
	[SHOWN_INT3] = { "int3", BOLD },
};

enum shown_kind shown_kind(const struct scry_event *event)
{
	switch (event->kind) {
	case SCRY_EVENT_CR_WRITE:
		return event->cr.cr == 0 ? SHOWN_CR0 : event->cr.cr == 3 ? SHOWN_CR3 : SHOWN_CR4;
	case SCRY_EVENT_CPUID:
		return SHOWN_CPUID;
	case SCRY_EVENT_MSR_READ:
		return SHOWN_RDMSR;
	case SCRY_EVENT_MSR_WRITE:
		return SHOWN_WRMSR;
	default:
		return SHOWN_INT3;
	}
}

const char *shown_name(enum shown_kind kind)
{
	return shown[kind].name;
}

void event_heading(void)
{
	printf("%s%12s %4s  %-5s  %-16s %3s  DETAILS%s\n", colour(BOLD), "SECONDS", "VCPU", "EVENT",
	       "RIP", "CPL", colour(PLAIN));
}

static void print_msr(const struct scry_event *e)
{
	const char *name = msr_name(e->msr.index);

	printf("0x%" PRIx32 "%s%s", e->msr.index, name[0] ? " " : "", name);
	if (e->msr.faults)
		printf("  faults");
	else if (e->kind == SCRY_EVENT_MSR_READ)
		printf("  0x%" PRIx64, e->msr.old_value);
	else
		printf("  0x%" PRIx64 " -> 0x%" PRIx64, e->msr.old_value, e->msr.new_value);
}

static void print_details(const struct scry_event *e)
{
	switch (e->kind) {
	case SCRY_EVENT_CR_WRITE:
		printf("0x%" PRIx64 " -> 0x%" PRIx64, e->cr.old_value, e->cr.new_value);
		break;
	case SCRY_EVENT_CPUID:
		printf("leaf 0x%" PRIx32 ".%" PRIx32 " -> %08" PRIx32 " %08" PRIx32 " %08" PRIx32
		       " %08" PRIx32, e->cpuid.leaf, e->cpuid.subleaf, e->cpuid.eax, e->cpuid.ebx,
		       e->cpuid.ecx, e->cpuid.edx);
		break;
	case SCRY_EVENT_MSR_READ:
	case SCRY_EVENT_MSR_WRITE:
		print_msr(e);
		break;
	default:
		break;
	}
}

void event_print(const struct scry_event *e, uint64_t ns)
{
	enum shown_kind kind = shown_kind(e);

	printf("%5" PRIu64 ".%06" PRIu64 " %4" PRIu32 "  %s%-5s%s  %016" PRIx64 " %3" PRIu32 "  ",
	       ns / 1000000000, ns / 1000 % 1000000, e->vcpu, colour(shown[kind].colour),
	       shown[kind].name, colour(PLAIN), e->rip, e->cpl);
	print_details(e);
	putchar('\n');
}

static void print_json_details(const struct scry_event *e)
{
	switch (e->kind) {
	case SCRY_EVENT_CR_WRITE:
		printf(", \"old\": \"0x%" PRIx64 "\", \"new\": \"0x%" PRIx64 "\"", e->cr.old_value,
		       e->cr.new_value);
		break;
	case SCRY_EVENT_CPUID:
		printf(", \"leaf\": \"0x%" PRIx32 "\", \"subleaf\": \"0x%" PRIx32 "\", "
		       "\"eax\": \"0x%" PRIx32 "\", \"ebx\": \"0x%" PRIx32 "\", "
		       "\"ecx\": \"0x%" PRIx32 "\", \"edx\": \"0x%" PRIx32 "\"",
		       e->cpuid.leaf, e->cpuid.subleaf, e->cpuid.eax, e->cpuid.ebx, e->cpuid.ecx,
		       e->cpuid.edx);
		break;
	case SCRY_EVENT_MSR_READ:
	case SCRY_EVENT_MSR_WRITE:
		printf(", \"msr\": \"0x%" PRIx32 "\", \"faults\": %s, \"old\": \"0x%" PRIx64 "\"",
		       e->msr.index, e->msr.faults ? "true" : "false", e->msr.old_value);
		if (e->kind == SCRY_EVENT_MSR_WRITE)
			printf(", \"new\": \"0x%" PRIx64 "\"", e->msr.new_value);
		break;
	default:
		break;
	}
}

/* Made of numbers and fixed words only, so that nothing needs escaping; and fast. */
void event_print_json(const struct scry_event *e, uint64_t ns)
{
	printf("{\"time\": %" PRIu64 ".%09" PRIu64 ", \"vcpu\": %" PRIu32 ", \"event\": \"%s\", "
	       "\"sequence\": %" PRIu64 ", \"rip\": \"0x%" PRIx64 "\", \"cpl\": %" PRIu32
	       ", \"cr3\": \"0x%" PRIx64 "\"", ns / 1000000000, ns % 1000000000, e->vcpu,
	       shown_name(shown_kind(e)), e->sequence, e->rip, e->cpl, e->cr3);
	print_json_details(e);
	puts("}");
}
