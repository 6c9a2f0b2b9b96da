/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/memory/pass.h"
#include "agent/memory/view.h"
#include "arm.h"
#include "execute.h"
#include "operand.h"
#include "permit.h"

/* The instruction is complete: what every instruction does at its end. */
static void __attribute__((noreturn)) retire(struct vcpu *vcpu, unsigned len)
{
	struct qemu_cpu *cpu = vcpu->cpu;
	uint64_t rip = vcpu->rip + len, flags = cpu_get64(cpu, cpu_layout.eflags);

	if (!(cpu_hflags(cpu) & HF_CS64))
		rip = (uint32_t)rip;
	cpu_put64(cpu, cpu_layout.eip, rip);
	cpu_put32(cpu, cpu_layout.hflags, cpu_hflags(cpu) & ~HF_INHIBIT_IRQ);
	cpu_put64(cpu, cpu_layout.eflags, flags & ~(uint64_t)EFLAGS_RF);
	if (flags & EFLAGS_TF)
		qemu.helper.single_step(cpu_env(cpu));
	vcpu_leave(vcpu);
}

void execute_nothing(struct vcpu *vcpu, struct site site)
{
	retire(vcpu, site.len);
}

/* Is the instruction in memory still the one of the event? */
static bool unchanged(struct vcpu *vcpu, struct site site)
{
	uint8_t bytes[16];
	struct site now;

	return site.kind == SCRY_EVENT_BREAKPOINT ||
	       (view_read(vcpu, code_address(vcpu->cpu), bytes, site.len) &&
	       site_decode(bytes, site.len, &now) && site_unlock(vcpu->cpu, &now) &&
	       memcmp(&now, &site, sizeof(now)) == 0);
}

void execute(struct vcpu *vcpu, struct site site)
{
	if (unchanged(vcpu, site)) {
		vcpu->passes = arm_watches(site.kind);	/* still */
		vcpu->passes_all = false;
		vcpu->passing = site;
		pass_fetched(vcpu);
		pass_next(vcpu);
	}
	vcpu_leave(vcpu);
}
