/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <scry/regs.h>

#include "agent/qemu/guard.h"
#include "msr.h"

/* Call RDMSR's or WRMSR's helper, whose operands are in the guest's registers. */
static int call(struct qemu_cpu *cpu, void (*helper)(struct qemu_env *), uint32_t index,
		uint64_t *value)
{
	uint64_t *gpr = cpu_gpr(cpu);
	uint64_t rax = gpr[SCRY_REG_RAX], rcx = gpr[SCRY_REG_RCX], rdx = gpr[SCRY_REG_RDX];
	uint32_t nested = cpu_hflags(cpu) & HF_GUEST;
	int raised;

	gpr[SCRY_REG_RCX] = index;
	gpr[SCRY_REG_RAX] = (uint32_t)*value;
	gpr[SCRY_REG_RDX] = *value >> 32;
	/* A nested hypervisor's intercepts are for its guest, not for us. */
	cpu_put32(cpu, cpu_layout.hflags, cpu_hflags(cpu) & ~HF_GUEST);
	raised = guard_call(helper, cpu_env(cpu));
	cpu_put32(cpu, cpu_layout.hflags, cpu_hflags(cpu) | nested);
	*value = gpr[SCRY_REG_RDX] << 32 | (uint32_t)gpr[SCRY_REG_RAX];
	gpr[SCRY_REG_RAX] = rax;
	gpr[SCRY_REG_RCX] = rcx;
	gpr[SCRY_REG_RDX] = rdx;
	return raised;
}

int msr_read(struct qemu_cpu *cpu, uint32_t index, uint64_t *value)
{
	uint64_t found = 0;

	if (call(cpu, qemu.helper.rdmsr, index, &found) < 0)
		return -1;
	*value = found;
	return 0;
}

int msr_write(struct qemu_cpu *cpu, uint32_t index, uint64_t value)
{
	return call(cpu, qemu.helper.wrmsr, index, &value);
}
