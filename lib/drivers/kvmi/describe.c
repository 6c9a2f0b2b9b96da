/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "gprs.h"
#include "kvmi.h"

static void describe_table(const struct kvmi_event_descriptor *d, struct scry_event *e)
{
	static const uint8_t tables[] = {
		[KVMI_IDTR] = SCRY_TABLE_IDTR, [KVMI_GDTR] = SCRY_TABLE_GDTR,
		[KVMI_LDTR] = SCRY_TABLE_LDTR, [KVMI_TR] = SCRY_TABLE_TR,
	};

	e->desc.table = tables[d->descriptor];
	e->desc.access = d->write ? SCRY_WRITE : SCRY_READ;
}

/* v7 tells nothing: the instruction's operands are in the registers. */
static void describe_xsetbv(struct kvmi_vm *k, const struct kvmi_occurrence *o,
			    struct scry_event *e)
{
	const struct kvmi_gprs *g = &o->arch.gprs;

	e->insn_len = 3;
	if (k->generation == KVMI_V7) {
		e->xsetbv.index = (uint32_t)g->rcx;
		e->xsetbv.new_value = g->rdx << 32 | (uint32_t)g->rax;
		return;
	}
	e->xsetbv.index = o->part.xsetbv.xcr;
	e->xsetbv.old_value = o->part.xsetbv.old_value;
	e->xsetbv.new_value = o->part.xsetbv.new_value;
}

static void describe_memory(const struct kvmi_event_pf *pf, struct scry_event *e)
{
	e->memory.gva = pf->gva;
	e->memory.gpa = pf->gpa;
	_Static_assert(KVMI_READ == SCRY_READ && KVMI_WRITE == SCRY_WRITE &&
		       KVMI_EXEC == SCRY_EXEC, "the same bits");
	e->memory.access = pf->access;
}

static bool describe_part(struct kvmi_vm *k, const struct kvmi_occurrence *o, struct scry_event *e)
{
	switch (o->event) {
	case KVMI_EVENT_CR:
		e->kind = SCRY_EVENT_CR_WRITE;
		e->cr.cr = o->part.cr.cr;
		e->cr.old_value = o->part.cr.old_value;
		e->cr.new_value = o->part.cr.new_value;
		return true;
	case KVMI_EVENT_MSR:
		e->kind = SCRY_EVENT_MSR_WRITE;
		e->insn_len = 2;
		e->msr.index = o->part.msr.msr;
		e->msr.old_value = o->part.msr.old_value;
		e->msr.new_value = o->part.msr.new_value;
		return true;
	case KVMI_EVENT_XSETBV:
		e->kind = SCRY_EVENT_XSETBV;
		describe_xsetbv(k, o, e);
		return true;
	case KVMI_EVENT_BREAKPOINT:
		e->kind = SCRY_EVENT_INT3;
		e->insn_len = o->part.breakpoint.insn_len;
		return true;
	case KVMI_EVENT_DESCRIPTOR:
		e->kind = SCRY_EVENT_DESCRIPTOR;
		describe_table(&o->part.descriptor, e);
		return true;
	case KVMI_EVENT_HYPERCALL:
		e->kind = SCRY_EVENT_HYPERCALL;
		e->insn_len = 3;
		return true;
	case KVMI_EVENT_PF:
		e->kind = SCRY_EVENT_MEMORY;
		describe_memory(&o->part.pf, e);
		return true;
	case KVMI_EVENT_SINGLESTEP:
		e->kind = SCRY_EVENT_STEP;
		return true;
	case KVMI_EVENT_CPUID:
		e->kind = SCRY_EVENT_CPUID;
		e->insn_len = o->part.cpuid.insn_len;
		e->cpuid.leaf = o->part.cpuid.leaf;
		e->cpuid.subleaf = o->part.cpuid.subleaf;
		return true;
	default:
		return false;
	}
}

bool kvmi_describe(struct kvmi_vm *k, const struct kvmi_occurrence *o, struct scry_event *e)
{
	const struct kvmi_arch *a = &o->arch;

	memset(e, 0, sizeof(*e));
	if (!describe_part(k, o, e))
		return false;
	e->vcpu = o->vcpu;
	e->rip = a->gprs.rip;
	e->rflags = a->gprs.rflags;
	kvmi_gprs_out(&a->gprs, e->gpr);
	e->cr3 = a->sregs.cr3;
	e->cpl = a->sregs.cr0 & 1 ? a->sregs.ss.dpl & 3 : 0;
	e->view = k->generation == KVMI_V7 && a->view < KVMI_V7_VIEWS ? a->view : 0;
	return true;
}
