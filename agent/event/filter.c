/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>

#include "filter.h"
#include "permit.h"
#include "value.h"

#define CR3_KEEP (UINT64_C(1) << 63)	/* "do not flush": not a bit of CR3 */

static bool is_cr(uint32_t cr)
{
	return cr == 0 || (cr >= 2 && cr <= 4) || cr == 8;
}

static int check_filter(const struct scry_subscription *sub, char *text, size_t size)
{
	switch (sub->kind) {
	case SCRY_EVENT_CR_WRITE:
	case SCRY_EVENT_CR_READ:
		if (is_cr(sub->cr.cr))
			return 0;
		snprintf(text, size, "there is no CR%u to watch: only CR0, CR2, CR3, CR4 and CR8",
			 sub->cr.cr);
		return SCRY_E_INVAL;
	case SCRY_EVENT_MSR_READ:
	case SCRY_EVENT_MSR_WRITE:
		if (sub->msr.count <= SCRY_FILTER_MSRS)
			return 0;
		snprintf(text, size, "%u MSRs in one filter: at most %d", sub->msr.count,
			 SCRY_FILTER_MSRS);
		return SCRY_E_INVAL;
	default:
		return 0;
	}
}

int filter_check(const struct scry_subscription *sub, unsigned vcpu_count, char *text,
		 size_t size)
{
	if (sub->sz != sizeof(*sub) || (unsigned)sub->kind >= SCRY_EVENT_COUNT) {
		snprintf(text, size, "event kind %u is not known to this agent",
			 (unsigned)sub->kind);
		return SCRY_E_UNSUPPORTED;
	}
	if (sub->kind == SCRY_EVENT_BREAKPOINT) {
		snprintf(text, size, "a breakpoint is planted, not subscribed to");
		return SCRY_E_INVAL;
	}
	if (sub->kind == SCRY_EVENT_WATCHPOINT) {
		snprintf(text, size, "a watchpoint is set, not subscribed to");
		return SCRY_E_INVAL;
	}
	if (vcpu_count < 64 && sub->vcpus >> vcpu_count) {
		snprintf(text, size, "the filter names a vCPU beyond the VM's %u", vcpu_count);
		return SCRY_E_INVAL;
	}
	return check_filter(sub, text, size);
}

static bool match_cr(const struct scry_subscription *sub, struct qemu_cpu *cpu, struct site site)
{
	uint64_t old_value, new_value, mask = sub->cr.mask ? sub->cr.mask : ~UINT64_C(0);

	if (sub->cr.cr != site.number)
		return false;
	if (site.form == SITE_PLAIN && !sub->cr.on_change)
		return true;
	if (!value_cr(cpu, site, &old_value, &new_value))
		return false;
	if (site.number == 3)
		new_value &= ~CR3_KEEP;
	return !sub->cr.on_change || ((old_value ^ new_value) & mask);
}

static bool match_msr(const struct scry_subscription *sub, uint32_t index)
{
	if (!sub->msr.count)
		return true;
	for (uint32_t i = 0; i < sub->msr.count; i++)
		if (sub->msr.index[i] == index)
			return true;
	return false;
}

static bool match_cpuid(const struct scry_subscription *sub, uint32_t leaf, uint32_t subleaf)
{
	return (!sub->cpuid.use_leaf || sub->cpuid.leaf == leaf) &&
	       (!sub->cpuid.use_subleaf || sub->cpuid.subleaf == subleaf);
}

static bool match_direction(uint32_t wanted, uint32_t access)
{
	return !wanted || wanted & access;
}

static bool match_port(const struct scry_subscription *sub, uint32_t access, uint32_t port,
		       uint32_t size)
{
	return match_direction(sub->io.access, access) &&
	       (!sub->io.use_range || (port <= sub->io.last && port + size > sub->io.first));
}

static bool match(const struct scry_subscription *sub, struct qemu_cpu *cpu, struct site site)
{
	const uint64_t *gpr = cpu_gpr(cpu);

	switch (sub->kind) {
	case SCRY_EVENT_CR_WRITE:
		return match_cr(sub, cpu, site);
	case SCRY_EVENT_CR_READ:
		return sub->cr.cr == site.number;
	case SCRY_EVENT_DR_READ:
	case SCRY_EVENT_DR_WRITE:
		return !sub->dr.mask || sub->dr.mask >> value_dr_number(site) & 1;
	case SCRY_EVENT_CPUID:
		return match_cpuid(sub, (uint32_t)gpr[SCRY_REG_RAX], (uint32_t)gpr[SCRY_REG_RCX]);
	case SCRY_EVENT_MSR_READ:
	case SCRY_EVENT_MSR_WRITE:
		return match_msr(sub, (uint32_t)gpr[SCRY_REG_RCX]);
	case SCRY_EVENT_DESCRIPTOR:
		return match_direction(sub->desc.access, site.access) &&
		       (!sub->desc.tables || sub->desc.tables >> site.number & 1);
	case SCRY_EVENT_IO:
		return match_port(sub, site.access, value_port(cpu, site),
				  value_port_size(cpu, site));
	default:
		return true;
	}
}

/* The next subscription to this kind on this vCPU, from *i on; NULL = no more. */
static const struct scry_subscription *next_of(const struct filters *filters, unsigned vcpu,
					       enum scry_event_kind kind, unsigned *i)
{
	while (*i < filters->count) {
		const struct scry_subscription *sub = &filters->entry[(*i)++].sub;

		if (sub->kind == kind && (!sub->vcpus || sub->vcpus >> vcpu & 1))
			return sub;
	}
	return NULL;
}

bool filter_match(const struct filters *filters, struct qemu_cpu *cpu, unsigned vcpu,
		  struct site site)
{
	const struct scry_subscription *sub;
	unsigned i = 0;

	if (!filters || !(filters->kinds & 1u << site.kind) || !site_permitted(cpu, site))
		return false;
	while ((sub = next_of(filters, vcpu, site.kind, &i)))
		if (match(sub, cpu, site))
			return true;
	return false;
}

static bool match_interrupt(const struct scry_subscription *sub, enum scry_interrupt_type type,
			    uint8_t vector)
{
	const uint64_t *v = sub->interrupt.vectors;

	return (!sub->interrupt.types || sub->interrupt.types >> type & 1) &&
	       (!(v[0] | v[1] | v[2] | v[3]) || v[vector / 64] >> vector % 64 & 1);
}

bool filter_match_interrupt(const struct filters *filters, unsigned vcpu,
			    enum scry_interrupt_type type, uint8_t vector)
{
	const struct scry_subscription *sub;
	unsigned i = 0;

	while ((sub = next_of(filters, vcpu, SCRY_EVENT_INTERRUPT, &i)))
		if (match_interrupt(sub, type, vector))
			return true;
	return false;
}

bool filter_match_step(const struct filters *filters, unsigned vcpu, uint64_t nth, uint64_t rip)
{
	const struct scry_subscription *sub;
	unsigned i = 0;

	while ((sub = next_of(filters, vcpu, SCRY_EVENT_STEP, &i)))
		if (nth >= sub->step.count && (sub->step.count < 2 || nth % sub->step.count == 0) &&
		    (!sub->step.use_range || rip < sub->step.first || rip > sub->step.last))
			return true;
	return false;
}

bool filter_steps(const struct filters *filters, unsigned vcpu, bool *blocks)
{
	const struct scry_subscription *sub;
	bool steps = false;
	unsigned i = 0;

	*blocks = false;
	while (filters && (sub = next_of(filters, vcpu, SCRY_EVENT_STEP, &i))) {
		*blocks |= sub->step.block_interrupts;
		steps = true;
	}
	return steps;
}

static bool match_memory(const struct scry_subscription *sub, unsigned view,
			 const struct trap *trap)
{
	uint64_t last = trap->gpa + (trap->size ? trap->size - 1 : 0);

	return (!sub->memory.access || sub->memory.access & trap->access) &&
	       (!sub->memory.use_range ||
		(trap->gpa <= sub->memory.last && last >= sub->memory.first)) &&
	       (!sub->memory.views || sub->memory.views >> view & 1);
}

bool filter_match_memory(const struct filters *filters, unsigned vcpu, unsigned view,
			 const struct trap *trap)
{
	const struct scry_subscription *sub;
	unsigned i = 0;

	while ((sub = next_of(filters, vcpu, SCRY_EVENT_MEMORY, &i)))
		if (match_memory(sub, view, trap))
			return true;
	return false;
}

bool filter_match_shutdown(const struct filters *filters, unsigned vcpu,
			   enum scry_shutdown_type type)
{
	const struct scry_subscription *sub;
	unsigned i = 0;

	while ((sub = next_of(filters, vcpu, SCRY_EVENT_SHUTDOWN, &i)))
		if (!sub->shutdown.types || sub->shutdown.types >> type & 1)
			return true;
	return false;
}

bool filter_match_msr(const struct filters *filters, unsigned vcpu, enum scry_event_kind kind,
		      uint32_t index)
{
	const struct scry_subscription *sub;
	unsigned i = 0;

	while ((sub = next_of(filters, vcpu, kind, &i)))
		if (match_msr(sub, index))
			return true;
	return false;
}

bool filter_names_msr(const struct filters *filters, enum scry_event_kind kind, uint32_t index)
{
	for (unsigned i = 0; i < filters->count; i++)
		if (filters->entry[i].sub.kind == kind && match_msr(&filters->entry[i].sub, index))
			return true;
	return false;
}

bool filter_match_port(const struct filters *filters, unsigned vcpu, uint32_t access,
		       uint32_t port, uint32_t size)
{
	const struct scry_subscription *sub;
	unsigned i = 0;

	while ((sub = next_of(filters, vcpu, SCRY_EVENT_IO, &i)))
		if (match_port(sub, access, port, size))
			return true;
	return false;
}

bool filter_match_kind(const struct filters *filters, unsigned vcpu, enum scry_event_kind kind)
{
	unsigned i = 0;

	return next_of(filters, vcpu, kind, &i);
}
