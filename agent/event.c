/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arm.h"
#include "event.h"
#include "execute.h"
#include "msr.h"
#include "phys.h"
#include "restore.h"
#include "vcpu.h"

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

static void describe(struct vcpu *vcpu, struct site site, struct scry_event *event)
{
	struct qemu_cpu *cpu = vcpu->cpu;
	uint64_t *gpr = cpu_gpr(cpu), width = cpu_hflags(cpu) & HF_CS64 ? ~UINT64_C(0) : UINT32_MAX;

	*event = (struct scry_event){
		.kind = site.kind,
		.vcpu = vcpu->index,
		.sequence = ++vcpu->sequence,
		.rip = vcpu->rip,
		.rflags = cpu_rflags_in_block(cpu),
		.cr3 = cpu_get64(cpu, cpu_layout.cr3),
		.insn_len = site.len,
		.cpl = cpu_hflags(cpu) & HF_CPL,
	};
	for (int i = 0; i < 16; i++)
		event->gpr[i] = gpr[i] & width;
	switch (site.kind) {
	case SCRY_EVENT_CR_WRITE:
		event->cr.cr = site.cr;
		cr_values(cpu, site, &event->cr.old_value, &event->cr.new_value);
		break;
	case SCRY_EVENT_CPUID:
		describe_cpuid(cpu, event);
		break;
	case SCRY_EVENT_MSR_READ:
	case SCRY_EVENT_MSR_WRITE:
		describe_msr(cpu, event);
		break;
	}
}

/* Carry out the reply where the block cannot simply go on.  Does not return. */
static void finish(struct vcpu *vcpu, struct site site, bool written)
{
	bool ours = !vcpu->outside || vcpu_step_in(vcpu);

	atomic_store_explicit(&vcpu->busy, false, memory_order_release);
	if (!ours || vcpu->jumps)
		vcpu_leave(vcpu);
	if (vcpu->action == SCRY_SKIP)
		execute_nothing(vcpu, site);
	if (vcpu->action == SCRY_DENY)
		qemu.raise_exception_err_ra(cpu_env(vcpu->cpu), 13, 0, 0);
	if (written && !site_unchanged(vcpu, site))
		vcpu_leave(vcpu);
	execute(vcpu, site);
}

/* eip is what the block left in env.eip: stale, but what it relies on. */
static void deliver(struct vcpu *vcpu, struct site site, uintptr_t host_pc, uint64_t eip)
{
	struct qemu_cpu *cpu = vcpu->cpu;
	unsigned writes = phys_writes();
	struct scry_event event;
	bool written;

	atomic_store_explicit(&vcpu->busy, true, memory_order_relaxed);
	restore_state(vcpu, host_pc);
	vcpu->rip = cpu_get64(cpu, cpu_layout.eip);
	describe(vcpu, site, &event);
	vcpu->slot.mem->event = event;
	vcpu_event(vcpu);

	written = phys_writes() != writes;
	if (vcpu->outside || written || vcpu->jumps || vcpu->action != SCRY_CONTINUE)
		finish(vcpu, site, written);
	cpu_put64(cpu, cpu_layout.eip, eip);
	atomic_store_explicit(&vcpu->busy, false, memory_order_release);
}

void event_callback(unsigned index, void *packed)
{
	uintptr_t host_pc = (uintptr_t)__builtin_return_address(0);
	struct vcpu *vcpu = &vcpus[index];
	struct qemu_cpu *cpu = vcpu->cpu;
	struct site site;
	uint64_t eip;

	if (index >= vcpu_count)
		return;
	memcpy(&site, &packed, sizeof(site));
	eip = cpu_get64(cpu, cpu_layout.eip);
	if (site.form == SITE_LMSW_MEMORY)	/* its filter needs rip to find the operand */
		restore_state(vcpu, host_pc);
	if (filter_match(arm_filters(), cpu, index, site))
		deliver(vcpu, site, host_pc, eip);
	else if (site.form == SITE_LMSW_MEMORY)
		cpu_put64(cpu, cpu_layout.eip, eip);
}
