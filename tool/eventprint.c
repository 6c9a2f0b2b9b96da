/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>

#include "eventexpr.h"
#include "eventprint.h"
#include "msrname.h"
#include "term.h"

static const struct {
	const char *name;
	enum colour colour;
} shown[SHOWN_COUNT] = {
	[SHOWN_CR0] = { "cr0", YELLOW },	[SHOWN_CR2] = { "cr2", YELLOW },
	[SHOWN_CR3] = { "cr3", CYAN },		[SHOWN_CR4] = { "cr4", YELLOW },
	[SHOWN_CR8] = { "cr8", YELLOW },	[SHOWN_RDCR] = { "rdcr", BLUE },
	[SHOWN_CPUID] = { "cpuid", GREEN },	[SHOWN_RDMSR] = { "rdmsr", BLUE },
	[SHOWN_WRMSR] = { "wrmsr", RED },	[SHOWN_INT3] = { "int3", BOLD },
	[SHOWN_XSETBV] = { "xsetbv", YELLOW },	[SHOWN_RDDR] = { "rddr", BLUE },
	[SHOWN_DR] = { "dr", RED },		[SHOWN_DESC] = { "desc", YELLOW },
	[SHOWN_HYPERCALL] = { "hypercall", BOLD }, [SHOWN_IO] = { "io", GREEN },
	[SHOWN_HLT] = { "hlt", PLAIN },		[SHOWN_RDTSC] = { "rdtsc", PLAIN },
	[SHOWN_INVLPG] = { "invlpg", CYAN },	[SHOWN_SYSCALL] = { "syscall", PLAIN },
	[SHOWN_INT] = { "int", RED },		[SHOWN_STEP] = { "step", PLAIN },
};

static enum shown_kind shown_cr(uint32_t cr)
{
	switch (cr) {
	case 0:
		return SHOWN_CR0;
	case 2:
		return SHOWN_CR2;
	case 3:
		return SHOWN_CR3;
	case 4:
		return SHOWN_CR4;
	default:
		return SHOWN_CR8;
	}
}

enum shown_kind shown_kind(const struct scry_event *event)
{
	static const enum shown_kind kinds[SCRY_EVENT_COUNT] = {
		[SCRY_EVENT_CR_READ] = SHOWN_RDCR,	[SCRY_EVENT_CPUID] = SHOWN_CPUID,
		[SCRY_EVENT_MSR_READ] = SHOWN_RDMSR,	[SCRY_EVENT_MSR_WRITE] = SHOWN_WRMSR,
		[SCRY_EVENT_INT3] = SHOWN_INT3,		[SCRY_EVENT_XSETBV] = SHOWN_XSETBV,
		[SCRY_EVENT_DR_READ] = SHOWN_RDDR,	[SCRY_EVENT_DR_WRITE] = SHOWN_DR,
		[SCRY_EVENT_DESCRIPTOR] = SHOWN_DESC,	[SCRY_EVENT_HYPERCALL] = SHOWN_HYPERCALL,
		[SCRY_EVENT_IO] = SHOWN_IO,		[SCRY_EVENT_HLT] = SHOWN_HLT,
		[SCRY_EVENT_RDTSC] = SHOWN_RDTSC,	[SCRY_EVENT_INVLPG] = SHOWN_INVLPG,
		[SCRY_EVENT_SYSCALL] = SHOWN_SYSCALL,	[SCRY_EVENT_INTERRUPT] = SHOWN_INT,
		[SCRY_EVENT_STEP] = SHOWN_STEP,
	};

	return event->kind == SCRY_EVENT_CR_WRITE ? shown_cr(event->cr.cr) : kinds[event->kind];
}

const char *shown_name(enum shown_kind kind)
{
	return shown[kind].name;
}

void event_heading(void)
{
	printf("%s%12s %4s  %-9s  %-16s %3s  DETAILS%s\n", colour(BOLD), "SECONDS", "VCPU", "EVENT",
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

static const char *const tables[] = { "gdtr", "idtr", "ldtr", "tr" };

static void print_io(const struct scry_event *e)
{
	bool out = e->io.access == SCRY_WRITE;

	printf("%s 0x%" PRIx16 ", %u byte%s", out ? "out" : "in", e->io.port, e->io.size,
	       e->io.size == 1 ? "" : "s");
	if (e->io.string)
		printf(", string%s", e->io.rep ? ", repeated" : "");
	else if (out)
		printf("  0x%" PRIx32, e->io.value);
}

static bool is_page_fault(const struct scry_event *e)
{
	return e->interrupt.type == SCRY_INTERRUPT_EXCEPTION && e->interrupt.vector == 14;
}

static void print_int(const struct scry_event *e)
{
	printf("%u %s", e->interrupt.vector, interrupt_type_name(e->interrupt.type));
	if (e->interrupt.has_error)
		printf("  error 0x%" PRIx32, e->interrupt.error_code);
	if (is_page_fault(e))
		printf("  cr2 0x%" PRIx64, e->interrupt.cr2);
}

static void print_details(const struct scry_event *e)
{
	switch (e->kind) {
	case SCRY_EVENT_CR_WRITE:
		printf("0x%" PRIx64 " -> 0x%" PRIx64, e->cr.old_value, e->cr.new_value);
		break;
	case SCRY_EVENT_CR_READ:
		printf("cr%" PRIu32 "  0x%" PRIx64, e->cr.cr, e->cr.old_value);
		break;
	case SCRY_EVENT_DR_READ:
		printf("dr%" PRIu32 "  0x%" PRIx64, e->dr.dr, e->dr.old_value);
		break;
	case SCRY_EVENT_DR_WRITE:
		printf("dr%" PRIu32 "  0x%" PRIx64 " -> 0x%" PRIx64, e->dr.dr, e->dr.old_value,
		       e->dr.new_value);
		break;
	case SCRY_EVENT_XSETBV:
		printf("xcr%" PRIu32 "  0x%" PRIx64 " -> 0x%" PRIx64, e->xsetbv.index,
		       e->xsetbv.old_value, e->xsetbv.new_value);
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
	case SCRY_EVENT_DESCRIPTOR:
		printf("%s %s", e->desc.access == SCRY_WRITE ? "load" : "store", tables[e->desc.table]);
		break;
	case SCRY_EVENT_HYPERCALL:
		printf("%s  rax 0x%" PRIx64, e->hypercall.vmmcall ? "vmmcall" : "vmcall",
		       e->gpr[SCRY_REG_RAX]);
		break;
	case SCRY_EVENT_IO:
		print_io(e);
		break;
	case SCRY_EVENT_INTERRUPT:
		print_int(e);
		break;
	case SCRY_EVENT_INVLPG:
		printf("0x%" PRIx64, e->invlpg.gva);
		break;
	case SCRY_EVENT_SYSCALL:
		printf("%s%" PRIu64, e->syscall.sysenter ? "sysenter " : "", e->gpr[SCRY_REG_RAX]);
		break;
	default:
		break;
	}
}

void event_print(const struct scry_event *e, uint64_t ns)
{
	enum shown_kind kind = shown_kind(e);

	printf("%5" PRIu64 ".%06" PRIu64 " %4" PRIu32 "  %s%-9s%s  %016" PRIx64 " %3" PRIu32 "  ",
	       ns / 1000000000, ns / 1000 % 1000000, e->vcpu, colour(shown[kind].colour),
	       shown[kind].name, colour(PLAIN), e->rip, e->cpl);
	print_details(e);
	putchar('\n');
}

static void print_json_io(const struct scry_event *e)
{
	bool out = e->io.access == SCRY_WRITE;

	printf(", \"direction\": \"%s\", \"port\": \"0x%" PRIx16 "\", \"size\": %u, "
	       "\"string\": %s", out ? "out" : "in", e->io.port, e->io.size,
	       e->io.string ? "true" : "false");
	if (out && !e->io.string)
		printf(", \"value\": \"0x%" PRIx32 "\"", e->io.value);
}

static void print_json_int(const struct scry_event *e)
{
	printf(", \"vector\": %u, \"type\": \"%s\"", e->interrupt.vector,
	       interrupt_type_name(e->interrupt.type));
	if (e->interrupt.has_error)
		printf(", \"error\": \"0x%" PRIx32 "\"", e->interrupt.error_code);
	if (is_page_fault(e))
		printf(", \"cr2\": \"0x%" PRIx64 "\"", e->interrupt.cr2);
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
	case SCRY_EVENT_CR_READ:
		printf(", \"cr\": %" PRIu32 ", \"value\": \"0x%" PRIx64 "\"", e->cr.cr,
		       e->cr.old_value);
		break;
	case SCRY_EVENT_DR_READ:
		printf(", \"dr\": %" PRIu32 ", \"value\": \"0x%" PRIx64 "\"", e->dr.dr,
		       e->dr.old_value);
		break;
	case SCRY_EVENT_DR_WRITE:
		printf(", \"dr\": %" PRIu32 ", \"old\": \"0x%" PRIx64 "\", \"new\": \"0x%" PRIx64 "\"",
		       e->dr.dr, e->dr.old_value, e->dr.new_value);
		break;
	case SCRY_EVENT_XSETBV:
		printf(", \"xcr\": %" PRIu32 ", \"old\": \"0x%" PRIx64 "\", \"new\": \"0x%" PRIx64
		       "\"", e->xsetbv.index, e->xsetbv.old_value, e->xsetbv.new_value);
		break;
	case SCRY_EVENT_DESCRIPTOR:
		printf(", \"table\": \"%s\", \"access\": \"%s\"", tables[e->desc.table],
		       e->desc.access == SCRY_WRITE ? "load" : "store");
		break;
	case SCRY_EVENT_HYPERCALL:
		printf(", \"vmmcall\": %s, \"rax\": \"0x%" PRIx64 "\"",
		       e->hypercall.vmmcall ? "true" : "false", e->gpr[SCRY_REG_RAX]);
		break;
	case SCRY_EVENT_IO:
		print_json_io(e);
		break;
	case SCRY_EVENT_INTERRUPT:
		print_json_int(e);
		break;
	case SCRY_EVENT_INVLPG:
		printf(", \"gva\": \"0x%" PRIx64 "\"", e->invlpg.gva);
		break;
	case SCRY_EVENT_SYSCALL:
		printf(", \"sysenter\": %s, \"rax\": %" PRIu64,
		       e->syscall.sysenter ? "true" : "false", e->gpr[SCRY_REG_RAX]);
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
