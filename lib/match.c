/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "match.h"

static bool match_cr(const struct scry_subscription *s, const struct scry_event *e)
{
	uint64_t mask = s->cr.mask ? s->cr.mask : UINT64_MAX;

	if (s->cr.cr != e->cr.cr)
		return false;
	return s->kind == SCRY_EVENT_CR_READ || !s->cr.on_change ||
	       (e->cr.old_value ^ e->cr.new_value) & mask;
}

static bool match_msr(const struct scry_subscription *s, const struct scry_event *e)
{
	for (uint32_t i = 0; i < s->msr.count && i < SCRY_FILTER_MSRS; i++)
		if (s->msr.index[i] == e->msr.index)
			return true;
	return !s->msr.count;
}

static bool match_cpuid(const struct scry_subscription *s, const struct scry_event *e)
{
	return (!s->cpuid.use_leaf || s->cpuid.leaf == e->cpuid.leaf) &&
	       (!s->cpuid.use_subleaf || s->cpuid.subleaf == e->cpuid.subleaf);
}

static bool match_desc(const struct scry_subscription *s, const struct scry_event *e)
{
	return (!s->desc.tables || s->desc.tables >> e->desc.table & 1) &&
	       (!s->desc.access || s->desc.access & e->desc.access);
}

static bool match_io(const struct scry_subscription *s, const struct scry_event *e)
{
	return (!s->io.access || s->io.access & e->io.access) &&
	       (!s->io.use_range || (e->io.port <= s->io.last &&
				     (uint32_t)e->io.port + e->io.size > s->io.first));
}

static bool match_interrupt(const struct scry_subscription *s, const struct scry_event *e)
{
	const uint64_t *v = s->interrupt.vectors;
	uint8_t vector = e->interrupt.vector;

	if (s->interrupt.types && !(s->interrupt.types >> e->interrupt.type & 1))
		return false;
	return !(v[0] | v[1] | v[2] | v[3]) || v[vector / 64] >> vector % 64 & 1;
}

static bool match_memory(const struct scry_subscription *s, const struct scry_event *e)
{
	/* One of unknown size may reach to the end of its page. */
	uint64_t last = e->memory.size ? e->memory.gpa + e->memory.size - 1 :
					 e->memory.gpa | 0xfff;

	return (!s->memory.access || s->memory.access & e->memory.access) &&
	       (!s->memory.views || s->memory.views >> e->view & 1) &&
	       (!s->memory.use_range ||
		(e->memory.gpa <= s->memory.last && last >= s->memory.first));
}

bool scry_matches(const struct scry_subscription *s, const struct scry_event *e)
{
	if (s->kind != e->kind || (s->vcpus && !(s->vcpus >> e->vcpu & 1)))
		return false;
	switch (s->kind) {
	case SCRY_EVENT_CR_WRITE:
	case SCRY_EVENT_CR_READ:
		return match_cr(s, e);
	case SCRY_EVENT_MSR_READ:
	case SCRY_EVENT_MSR_WRITE:
		return match_msr(s, e);
	case SCRY_EVENT_CPUID:
		return match_cpuid(s, e);
	case SCRY_EVENT_DR_READ:
	case SCRY_EVENT_DR_WRITE:
		return !s->dr.mask || s->dr.mask >> e->dr.dr & 1;
	case SCRY_EVENT_DESCRIPTOR:
		return match_desc(s, e);
	case SCRY_EVENT_IO:
		return match_io(s, e);
	case SCRY_EVENT_INTERRUPT:
		return match_interrupt(s, e);
	case SCRY_EVENT_STEP:
		return !s->step.use_range || e->rip < s->step.first || e->rip > s->step.last;
	case SCRY_EVENT_MEMORY:
		return match_memory(s, e);
	case SCRY_EVENT_SHUTDOWN:
		return !s->shutdown.types || s->shutdown.types >> e->shutdown.type & 1;
	default:
		return true;
	}
}
