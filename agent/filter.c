/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>

#include "filter.h"
#include "operand.h"

#define CR0_TS   8u
#define CR0_ET   16u
#define CR3_KEEP (UINT64_C(1) << 63)	/* "do not flush": not a bit of CR3 */

static int check_filter(const struct scry_subscription *sub, char *text, size_t size)
{
	switch (sub->kind) {
	case SCRY_EVENT_CR_WRITE:
		if (sub->cr.cr == 0 || sub->cr.cr == 3 || sub->cr.cr == 4)
			return 0;
		snprintf(text, size, "CR%u cannot be watched: only CR0, CR3 and CR4", sub->cr.cr);
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
	if (vcpu_count < 64 && sub->vcpus >> vcpu_count) {
		snprintf(text, size, "the filter names a vCPU beyond the VM's %u", vcpu_count);
		return SCRY_E_INVAL;
	}
	return check_filter(sub, text, size);
}

bool cr_values(struct qemu_cpu *cpu, struct site site, uint64_t *old_value, uint64_t *new_value)
{
	uint64_t operand = cpu_gpr(cpu)[site.reg];
	uint16_t word = (uint16_t)operand;

	*old_value = cpu_get64(cpu, site.cr == 3 ? cpu_layout.cr3 :
				    site.cr == 4 ? cpu_layout.cr4 : cpu_layout.cr0);
	switch (site.form) {
	case SITE_LMSW_MEMORY:
		if (!operand_read16(cpu, site.len, &word))
			return false;
		/* fall through */
	case SITE_LMSW_REGISTER:
		*new_value = (*old_value & ~UINT64_C(0xe)) | (word & 0xf);
		return true;
	case SITE_CLTS:
		*new_value = *old_value & ~(uint64_t)CR0_TS;
		return true;
	}
	if (!(cpu_hflags(cpu) & HF_CS64))
		operand = (uint32_t)operand;
	*new_value = site.cr == 0 ? operand | CR0_ET : operand;
	return true;
}

static bool match_cr(const struct scry_subscription *sub, struct qemu_cpu *cpu, struct site site)
{
	uint64_t old_value, new_value, mask = sub->cr.mask ? sub->cr.mask : ~UINT64_C(0);

	if (sub->cr.cr != site.cr)
		return false;
	if (site.form == SITE_PLAIN && !sub->cr.on_change)
		return true;
	if (!cr_values(cpu, site, &old_value, &new_value))
		return false;
	if (site.cr == 3)
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

static bool match(const struct scry_subscription *sub, struct qemu_cpu *cpu, struct site site)
{
	const uint64_t *gpr = cpu_gpr(cpu);

	switch (sub->kind) {
	case SCRY_EVENT_CR_WRITE:
		return match_cr(sub, cpu, site);
	case SCRY_EVENT_CPUID:
		return match_cpuid(sub, (uint32_t)gpr[SCRY_REG_RAX], (uint32_t)gpr[SCRY_REG_RCX]);
	case SCRY_EVENT_MSR_READ:
	case SCRY_EVENT_MSR_WRITE:
		return match_msr(sub, (uint32_t)gpr[SCRY_REG_RCX]);
	default:
		return true;
	}
}

/* The callback comes before the privilege check: what will raise #GP by itself is no event. */
static bool permitted(struct qemu_cpu *cpu, struct site site)
{
	switch (site.kind) {
	case SCRY_EVENT_CPUID:
		return true;
	case SCRY_EVENT_INT3:	/* INT 3 of two bytes needs IOPL 3 in virtual-8086 mode */
		return site.len == 1 || !(cpu_get64(cpu, cpu_layout.eflags) & EFLAGS_VM) ||
		       (cpu_get64(cpu, cpu_layout.eflags) & HF_IOPL) == HF_IOPL;
	default:
		return !(cpu_hflags(cpu) & HF_CPL);
	}
}

bool filter_match(const struct filters *filters, struct qemu_cpu *cpu, unsigned vcpu,
		  struct site site)
{
	if (!filters || !(filters->kinds & 1u << site.kind) || !permitted(cpu, site))
		return false;
	for (unsigned i = 0; i < filters->count; i++) {
		const struct scry_subscription *sub = &filters->entry[i].sub;

		if (sub->kind == site.kind && (!sub->vcpus || sub->vcpus >> vcpu & 1) &&
		    match(sub, cpu, site))
			return true;
	}
	return false;
}
