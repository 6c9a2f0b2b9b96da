/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <scry/error.h>
#include <stdio.h>

#include "agent/accel.h"
#include "change.h"
#include "regs.h"

static int change_any(struct vcpu *vcpu, const struct scry_regs *regs, uint64_t mask, char *text,
		      size_t size)
{
	struct scry_regs now, wanted;
	int status;

	vcpu_step_out(vcpu);
	if (accel->regs_get(vcpu, &now) < 0) {
		snprintf(text, size, "%s", VCPU_GONE);
		return SCRY_E_STATE;
	}
	wanted = now;
	regs_overlay(&wanted, regs, mask);
	status = regs_check(vcpu->cpu, &now, &wanted, mask, text, size);
	if (status)
		return status;
	if (accel->regs_put(vcpu, &wanted, mask) < 0) {
		snprintf(text, size, "the hypervisor refuses these values");
		return SCRY_E_REFUSED;
	}
	if (mask & SCRY_REG_BIT(SCRY_REG_RIP))
		vcpu->jumps = true;
	return 0;
}

/* General registers and rip can be changed without stepping out of the block. */
static int change_simple(struct vcpu *vcpu, const struct scry_regs *regs, uint64_t mask,
			 char *text, size_t size)
{
	if (!accel->regs_put_simple(vcpu, regs, mask)) {
		snprintf(text, size, "the processor would refuse it: rip is not canonical, or beyond "
			 "4 GiB outside 64-bit mode");
		return SCRY_E_REFUSED;
	}
	if (mask & SCRY_REG_BIT(SCRY_REG_RIP))
		vcpu->jumps = true;
	return 0;
}

int change_registers(struct vcpu *vcpu, const struct scry_regs *regs, uint64_t mask, char *text,
		     size_t size)
{
	vcpu->changes = true;
	if (!accel->regs_put_simple || mask & ~(SCRY_REGS_GPR | SCRY_REG_BIT(SCRY_REG_RIP)))
		return change_any(vcpu, regs, mask, text, size);
	return change_simple(vcpu, regs, mask, text, size);
}
