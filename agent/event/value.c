/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/vcpu/regs.h"
#include "operand.h"
#include "protocol/bits.h"
#include "value.h"

uint64_t value_of_cr(struct qemu_cpu *cpu, unsigned number)
{
	switch (number) {
	case 2:
		return cpu_get64(cpu, cpu_layout.cr2);
	case 3:
		return cpu_get64(cpu, cpu_layout.cr3);
	case 4:
		return cpu_get64(cpu, cpu_layout.cr4);
	case 8:
		return regs_cr8(cpu);
	default:
		return cpu_get64(cpu, cpu_layout.cr0);
	}
}

uint64_t value_of_register(struct qemu_cpu *cpu, struct site site)
{
	uint64_t value = cpu_gpr(cpu)[site.reg];

	return cpu_hflags(cpu) & HF_CS64 ? value : (uint32_t)value;
}

bool value_cr(struct qemu_cpu *cpu, struct site site, uint64_t *old_value, uint64_t *new_value)
{
	uint64_t operand = value_of_register(cpu, site);
	uint16_t word = (uint16_t)operand;

	*old_value = value_of_cr(cpu, site.number);
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
	*new_value = site.number == 0 ? operand | CR0_ET : operand;
	return true;
}

uint16_t value_port(struct qemu_cpu *cpu, struct site site)
{
	return site.io & SITE_IO_NUMBER ? site.number : (uint16_t)cpu_gpr(cpu)[SCRY_REG_RDX];
}

unsigned value_port_size(struct qemu_cpu *cpu, struct site site)
{
	bool small = !(cpu_hflags(cpu) & (HF_CS32 | HF_CS64));

	if (site.io & SITE_IO_BYTE)
		return 1;
	return small == !(site.io & SITE_IO_SHORT) ? 2 : 4;
}
