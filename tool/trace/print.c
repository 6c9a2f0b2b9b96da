/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "../common/guest.h"
#include "../common/msrname.h"
#include "expr.h"
#include "print.h"
#include "shown.h"

const char *table_name(uint32_t table)
{
	static const char *const names[] = { "gdtr", "idtr", "ldtr", "tr" };

	return names[table];
}

const char *access_name(uint32_t access)
{
	static const char *const names[] = { "", "r", "w", "rw", "x", "rx", "wx", "rwx" };

	return names[access & (SCRY_READ | SCRY_WRITE | SCRY_EXEC)];
}

void event_heading(bool with_task)
{
	printf("%s%12s %4s  %-9s  %-16s %3s  %sDETAILS%s\n", colour(BOLD), "SECONDS", "VCPU", "EVENT",
	       "RIP", "CPL", with_task ? "   PID COMM             " : "", colour(PLAIN));
}

static void print_task(const struct scry_linux_task *task)
{
	char *comm = clean(task->comm, sizeof(task->comm));

	printf("%6d %-15s  ", task->tgid, comm);
	free(comm);
}

static void print_change(uint64_t old, uint64_t new)
{
	printf("0x%" PRIx64 " -> 0x%" PRIx64, old, new);
}

static void print_cr_write(const struct scry_event *e)
{
	print_change(e->cr.old_value, e->cr.new_value);
}

static void print_cr_read(const struct scry_event *e)
{
	printf("cr%" PRIu32 "  0x%" PRIx64, e->cr.cr, e->cr.old_value);
}

static void print_dr_read(const struct scry_event *e)
{
	printf("dr%" PRIu32 "  0x%" PRIx64, e->dr.dr, e->dr.old_value);
}

static void print_dr_write(const struct scry_event *e)
{
	printf("dr%" PRIu32 "  ", e->dr.dr);
	print_change(e->dr.old_value, e->dr.new_value);
}

static void print_xsetbv(const struct scry_event *e)
{
	printf("xcr%" PRIu32 "  ", e->xsetbv.index);
	print_change(e->xsetbv.old_value, e->xsetbv.new_value);
}

static void print_cpuid(const struct scry_event *e)
{
	printf("leaf 0x%" PRIx32 ".%" PRIx32 " -> %08" PRIx32 " %08" PRIx32 " %08" PRIx32
	       " %08" PRIx32, e->cpuid.leaf, e->cpuid.subleaf, e->cpuid.eax, e->cpuid.ebx,
	       e->cpuid.ecx, e->cpuid.edx);
}

static void print_msr(const struct scry_event *e)
{
	const char *name = msr_name(e->msr.index);

	printf("0x%" PRIx32 "%s%s  ", e->msr.index, name[0] ? " " : "", name);
	if (e->msr.faults)
		printf("faults");
	else if (e->kind == SCRY_EVENT_MSR_READ)
		printf("0x%" PRIx64, e->msr.old_value);
	else
		print_change(e->msr.old_value, e->msr.new_value);
}

static void print_descriptor(const struct scry_event *e)
{
	printf("%s %s", e->desc.access == SCRY_WRITE ? "load" : "store", table_name(e->desc.table));
}

static void print_hypercall(const struct scry_event *e)
{
	printf("%s  rax 0x%" PRIx64, e->hypercall.vmmcall ? "vmmcall" : "vmcall",
	       e->gpr[SCRY_REG_RAX]);
}

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

static void print_interrupt(const struct scry_event *e)
{
	printf("%u %s", e->interrupt.vector, interrupt_type_name(e->interrupt.type));
	if (e->interrupt.has_error)
		printf("  error 0x%" PRIx32, e->interrupt.error_code);
	if (is_page_fault(e))
		printf("  cr2 0x%" PRIx64, e->interrupt.cr2);
}

static void print_invlpg(const struct scry_event *e)
{
	printf("0x%" PRIx64, e->invlpg.gva);
}

static void print_syscall(const struct scry_event *e)
{
	printf("%s%" PRIu64, e->syscall.sysenter ? "sysenter " : "", e->gpr[SCRY_REG_RAX]);
}

static void print_memory(const struct scry_event *e)
{
	printf("%-2s 0x%" PRIx64, access_name(e->memory.access), e->memory.gpa);
	if (e->memory.size)
		printf(", %" PRIu32 " byte%s", e->memory.size, e->memory.size == 1 ? "" : "s");
	printf("  %s 0x%" PRIx64, e->memory.walk ? "page walk for" : "at", e->memory.gva);
}

static void print_breakpoint(const struct scry_event *e)
{
	printf("number %" PRIu32 "  cr3 0x%" PRIx64, e->breakpoint.number, e->cr3);
}

static void print_watchpoint(const struct scry_event *e)
{
	printf("number %" PRIu32 "  %s of %" PRIu32 " byte%s at 0x%" PRIx64, e->watchpoint.number,
	       access_name(e->watchpoint.access), e->watchpoint.size, e->watchpoint.size == 1 ? "" : "s",
	       e->watchpoint.gva);
}

static void print_shutdown(const struct scry_event *e)
{
	printf("%s", shutdown_type_name(e->shutdown.type));
}

static void print_start(const struct scry_event *e)
{
	printf("at 0x%" PRIx64, e->start.gpa);
}

static void (*const print_details[SCRY_EVENT_COUNT])(const struct scry_event *e) = {
	[SCRY_EVENT_CR_WRITE] = print_cr_write,		[SCRY_EVENT_CPUID] = print_cpuid,
	[SCRY_EVENT_MSR_READ] = print_msr,		[SCRY_EVENT_MSR_WRITE] = print_msr,
	[SCRY_EVENT_CR_READ] = print_cr_read,		[SCRY_EVENT_XSETBV] = print_xsetbv,
	[SCRY_EVENT_DR_READ] = print_dr_read,		[SCRY_EVENT_DR_WRITE] = print_dr_write,
	[SCRY_EVENT_DESCRIPTOR] = print_descriptor,	[SCRY_EVENT_HYPERCALL] = print_hypercall,
	[SCRY_EVENT_IO] = print_io,			[SCRY_EVENT_INVLPG] = print_invlpg,
	[SCRY_EVENT_SYSCALL] = print_syscall,		[SCRY_EVENT_INTERRUPT] = print_interrupt,
	[SCRY_EVENT_MEMORY] = print_memory,		[SCRY_EVENT_BREAKPOINT] = print_breakpoint,
	[SCRY_EVENT_SHUTDOWN] = print_shutdown,		[SCRY_EVENT_START] = print_start,		[SCRY_EVENT_WATCHPOINT] = print_watchpoint,
};

static void print_register(const char *name, uint64_t value, bool last)
{
	printf("  %s%-6s%s %016" PRIx64 "%s", colour(CYAN), name, colour(PLAIN), value,
	       last ? "\n" : "");
}

/* Six lines below the event's. */
static void print_registers(const struct scry_event *e)
{
	for (enum scry_reg r = SCRY_REG_RAX; r <= SCRY_REG_R15; r++)
		print_register(scry_reg_name(r), e->gpr[r], r % 3 == 2);
	print_register("rflags", e->rflags, false);
	print_register("cr3", e->cr3, true);
}

void event_print(const struct scry_event *e, uint64_t ns, bool registers,
		 const struct scry_linux_task *task)
{
	enum shown_kind kind = shown_kind(e);

	printf("%5" PRIu64 ".%06" PRIu64 " %4" PRIu32 "  %s%-9s%s  %016" PRIx64 " %3" PRIu32 "  ",
	       ns / 1000000000, ns / 1000 % 1000000, e->vcpu, colour(shown_colour(kind)),
	       shown_name(kind), colour(PLAIN), e->rip, e->cpl);
	if (task)
		print_task(task);
	if (print_details[e->kind])
		print_details[e->kind](e);
	putchar('\n');
	if (registers)
		print_registers(e);
}
