/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/vcpu/msr.h"
#include "describe.h"
#include "operand.h"
#include "value.h"

static void describe_msr(struct qemu_cpu *cpu, struct scry_event *event)
{
	uint64_t *gpr = cpu_gpr(cpu);

	event->msr.index = (uint32_t)gpr[SCRY_REG_RCX];
	event->msr.old_value = event->msr.new_value = 0;
	event->msr.faults = msr_read(cpu, event->msr.index, &event->msr.old_value) < 0;
	if (event->kind == SCRY_EVENT_MSR_WRITE)
		event->msr.new_value = gpr[SCRY_REG_RDX] << 32 | (uint32_t)gpr[SCRY_REG_RAX];
}

static void describe_cpuid(struct qemu_cpu *cpu, struct scry_event *event)
{
	uint64_t *gpr = cpu_gpr(cpu);

	event->cpuid.leaf = (uint32_t)gpr[SCRY_REG_RAX];
	event->cpuid.subleaf = (uint32_t)gpr[SCRY_REG_RCX];
	qemu.cpu_x86_cpuid(cpu_env(cpu), event->cpuid.leaf, event->cpuid.subleaf,
			   &event->cpuid.eax, &event->cpuid.ebx, &event->cpuid.ecx,
			   &event->cpuid.edx);
}

static void describe_cr(struct qemu_cpu *cpu, struct site site, struct scry_event *event)
{
	event->cr.cr = site.number;
	if (site.kind == SCRY_EVENT_CR_WRITE)
		value_cr(cpu, site, &event->cr.old_value, &event->cr.new_value);
	else
		event->cr.old_value = value_of_cr(cpu, site.number);
	if (site.form == SITE_SMSW)
		event->cr.old_value = (uint16_t)event->cr.old_value;
}

static void describe_dr(struct qemu_cpu *cpu, struct site site, struct scry_event *event)
{
	event->dr.dr = value_dr_number(site);
	event->dr.old_value = cpu_get64(cpu, cpu_layout.dr + 8 * event->dr.dr);
	if (site.kind == SCRY_EVENT_DR_WRITE)
		event->dr.new_value = value_of_register(cpu, site);
}

static void describe_xsetbv(struct qemu_cpu *cpu, struct scry_event *event)
{
	uint64_t *gpr = cpu_gpr(cpu);

	event->xsetbv.index = (uint32_t)gpr[SCRY_REG_RCX];
	event->xsetbv.old_value = cpu_get64(cpu, cpu_layout.xcr0);
	event->xsetbv.new_value = gpr[SCRY_REG_RDX] << 32 | (uint32_t)gpr[SCRY_REG_RAX];
}

static void describe_io(struct qemu_cpu *cpu, struct site site, struct scry_event *event)
{
	unsigned size = value_port_size(cpu, site);
	bool string = site.io & SITE_IO_STRING;

	event->io.port = value_port(cpu, site);
	event->io.size = (uint8_t)size;
	event->io.access = site.access;
	event->io.string = string;
	event->io.rep = !!(site.io & SITE_IO_REP);
	if (site.io & SITE_IO_OUT && !string)
		event->io.value = (uint32_t)(cpu_gpr(cpu)[SCRY_REG_RAX] &
					     (UINT64_MAX >> (64 - 8 * size)));
}

static void describe_kind(struct qemu_cpu *cpu, struct site site, struct scry_event *event)
{
	switch (site.kind) {
	case SCRY_EVENT_CR_WRITE:
	case SCRY_EVENT_CR_READ:
		describe_cr(cpu, site, event);
		break;
	case SCRY_EVENT_DR_READ:
	case SCRY_EVENT_DR_WRITE:
		describe_dr(cpu, site, event);
		break;
	case SCRY_EVENT_CPUID:
		describe_cpuid(cpu, event);
		break;
	case SCRY_EVENT_MSR_READ:
	case SCRY_EVENT_MSR_WRITE:
		describe_msr(cpu, event);
		break;
	case SCRY_EVENT_XSETBV:
		describe_xsetbv(cpu, event);
		break;
	case SCRY_EVENT_DESCRIPTOR:
		event->desc.table = site.number;
		event->desc.access = site.access;
		break;
	case SCRY_EVENT_HYPERCALL:
		event->hypercall.vmmcall = site.form == SITE_VMMCALL;
		break;
	case SCRY_EVENT_IO:
		describe_io(cpu, site, event);
		break;
	case SCRY_EVENT_INVLPG:
		operand_address(cpu, site.len, &event->invlpg.gva);
		break;
	case SCRY_EVENT_SYSCALL:
		event->syscall.sysenter = site.form == SITE_SYSENTER;
		break;
	}
}

void describe_vcpu(struct vcpu *vcpu, struct scry_event *event)
{
	struct qemu_cpu *cpu = vcpu->cpu;
	uint64_t *gpr = cpu_gpr(cpu), width = cpu_hflags(cpu) & HF_CS64 ? ~UINT64_C(0) : UINT32_MAX;

	*event = (struct scry_event){
		.vcpu = vcpu->index,
		.sequence = ++vcpu->sequence,
		.rip = vcpu->rip,
		.rflags = cpu_rflags_in_block(cpu),
		.cr3 = cpu_get64(cpu, cpu_layout.cr3),
		.cpl = cpu_hflags(cpu) & HF_CPL,
		.view = vcpu->view,
	};
	for (int i = 0; i < 16; i++)
		event->gpr[i] = gpr[i] & width;
}

void describe(struct vcpu *vcpu, struct site site, struct scry_event *event)
{
	describe_vcpu(vcpu, event);
	event->kind = site.kind;
	event->insn_len = site.len;
	if (site.kind == SCRY_EVENT_BREAKPOINT)
		event->breakpoint.number = (uint32_t)vcpu->breakpoint;
	describe_kind(vcpu->cpu, site, event);
}
