/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Made of numbers and fixed words, but for a task's name, so that nothing needs escaping; and fast. */
#include <inttypes.h>
#include <stdio.h>

#include "../common/guest.h"
#include "expr.h"
#include "print.h"
#include "shown.h"

static void hex(const char *key, uint64_t value)
{
	printf(", \"%s\": \"0x%" PRIx64 "\"", key, value);
}

static void number(const char *key, uint64_t value)
{
	printf(", \"%s\": %" PRIu64, key, value);
}

static void word(const char *key, const char *value)
{
	printf(", \"%s\": \"%s\"", key, value);
}

static void truth(const char *key, bool value)
{
	printf(", \"%s\": %s", key, value ? "true" : "false");
}

static void change(uint64_t old, uint64_t new)
{
	hex("old", old);
	hex("new", new);
}

static void json_cr_write(const struct scry_event *e)
{
	change(e->cr.old_value, e->cr.new_value);
}

static void json_cr_read(const struct scry_event *e)
{
	number("cr", e->cr.cr);
	hex("value", e->cr.old_value);
}

static void json_dr_read(const struct scry_event *e)
{
	number("dr", e->dr.dr);
	hex("value", e->dr.old_value);
}

static void json_dr_write(const struct scry_event *e)
{
	number("dr", e->dr.dr);
	change(e->dr.old_value, e->dr.new_value);
}

static void json_xsetbv(const struct scry_event *e)
{
	number("xcr", e->xsetbv.index);
	change(e->xsetbv.old_value, e->xsetbv.new_value);
}

static void json_cpuid(const struct scry_event *e)
{
	hex("leaf", e->cpuid.leaf);
	hex("subleaf", e->cpuid.subleaf);
	hex("eax", e->cpuid.eax);
	hex("ebx", e->cpuid.ebx);
	hex("ecx", e->cpuid.ecx);
	hex("edx", e->cpuid.edx);
}

static void json_msr(const struct scry_event *e)
{
	hex("msr", e->msr.index);
	truth("faults", e->msr.faults);
	hex("old", e->msr.old_value);
	if (e->kind == SCRY_EVENT_MSR_WRITE)
		hex("new", e->msr.new_value);
}

static void json_descriptor(const struct scry_event *e)
{
	word("table", table_name(e->desc.table));
	word("access", e->desc.access == SCRY_WRITE ? "load" : "store");
}

static void json_hypercall(const struct scry_event *e)
{
	truth("vmmcall", e->hypercall.vmmcall);
	hex("rax", e->gpr[SCRY_REG_RAX]);
}

static void json_io(const struct scry_event *e)
{
	bool out = e->io.access == SCRY_WRITE;

	word("direction", out ? "out" : "in");
	hex("port", e->io.port);
	number("size", e->io.size);
	truth("string", e->io.string);
	if (out && !e->io.string)
		hex("value", e->io.value);
}

static void json_interrupt(const struct scry_event *e)
{
	number("vector", e->interrupt.vector);
	word("type", interrupt_type_name(e->interrupt.type));
	if (e->interrupt.has_error)
		hex("error", e->interrupt.error_code);
	if (is_page_fault(e))
		hex("cr2", e->interrupt.cr2);
}

static void json_invlpg(const struct scry_event *e)
{
	hex("gva", e->invlpg.gva);
}

static void json_syscall(const struct scry_event *e)
{
	truth("sysenter", e->syscall.sysenter);
	number("rax", e->gpr[SCRY_REG_RAX]);
}

static void json_memory(const struct scry_event *e)
{
	word("access", access_name(e->memory.access));
	hex("gpa", e->memory.gpa);
	hex("gva", e->memory.gva);
	if (e->memory.size)
		number("size", e->memory.size);
	truth("walk", e->memory.walk);
}

static void json_breakpoint(const struct scry_event *e)
{
	number("number", e->breakpoint.number);
}

static void json_watchpoint(const struct scry_event *e)
{
	number("number", e->watchpoint.number);
	word("access", access_name(e->watchpoint.access));
	hex("gva", e->watchpoint.gva);
	number("size", e->watchpoint.size);
}

static void json_shutdown(const struct scry_event *e)
{
	word("type", shutdown_type_name(e->shutdown.type));
}

static void json_start(const struct scry_event *e)
{
	hex("gpa", e->start.gpa);
}

static void (*const json_details[SCRY_EVENT_COUNT])(const struct scry_event *e) = {
	[SCRY_EVENT_CR_WRITE] = json_cr_write,		[SCRY_EVENT_CPUID] = json_cpuid,
	[SCRY_EVENT_MSR_READ] = json_msr,		[SCRY_EVENT_MSR_WRITE] = json_msr,
	[SCRY_EVENT_CR_READ] = json_cr_read,		[SCRY_EVENT_XSETBV] = json_xsetbv,
	[SCRY_EVENT_DR_READ] = json_dr_read,		[SCRY_EVENT_DR_WRITE] = json_dr_write,
	[SCRY_EVENT_DESCRIPTOR] = json_descriptor,	[SCRY_EVENT_HYPERCALL] = json_hypercall,
	[SCRY_EVENT_IO] = json_io,			[SCRY_EVENT_INVLPG] = json_invlpg,
	[SCRY_EVENT_SYSCALL] = json_syscall,		[SCRY_EVENT_INTERRUPT] = json_interrupt,
	[SCRY_EVENT_MEMORY] = json_memory,		[SCRY_EVENT_BREAKPOINT] = json_breakpoint,
	[SCRY_EVENT_SHUTDOWN] = json_shutdown,		[SCRY_EVENT_START] = json_start,			[SCRY_EVENT_WATCHPOINT] = json_watchpoint,
};

static void json_registers(const struct scry_event *e)
{
	printf(", \"regs\": {\"rflags\": \"0x%" PRIx64 "\"", e->rflags);
	for (enum scry_reg r = SCRY_REG_RAX; r <= SCRY_REG_R15; r++)
		hex(scry_reg_name(r), e->gpr[r]);
	putchar('}');
}

/* Of the guest's making: any bytes. */
static void json_task(const struct scry_linux_task *task)
{
	char *comm = clean(task->comm, sizeof(task->comm));
	struct json_object *text = checked(json_object_new_string(comm));

	number("pid", (uint64_t)task->tgid);
	number("tid", (uint64_t)task->pid);
	printf(", \"comm\": %s", json_object_to_json_string(text));
	json_object_put(text);
	free(comm);
}

void event_print_json(const struct scry_event *e, uint64_t ns, bool registers,
		      const struct scry_linux_task *task)
{
	printf("{\"time\": %" PRIu64 ".%09" PRIu64 ", \"vcpu\": %" PRIu32 ", \"event\": \"%s\", "
	       "\"sequence\": %" PRIu64 ", \"rip\": \"0x%" PRIx64 "\", \"cpl\": %" PRIu32
	       ", \"cr3\": \"0x%" PRIx64 "\"", ns / 1000000000, ns % 1000000000, e->vcpu,
	       shown_name(shown_kind(e)), e->sequence, e->rip, e->cpl, e->cr3);
	if (task)
		json_task(task);
	if (json_details[e->kind])
		json_details[e->kind](e);
	if (registers)
		json_registers(e);
	puts("}");
}
