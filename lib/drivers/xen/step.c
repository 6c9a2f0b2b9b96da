/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdbool.h>
#include <string.h>

#include "step.h"

/* Registers of the local APIC. */
#define SPURIOUS  0xf0
#define LVT_TIMER 0x320
#define ENABLED   (1u << 8)
#define MASKED    (1u << 16)

int xen_step(struct xen_hyper *h, unsigned vcpu, bool on)
{
	struct xen_domctl op = { .cmd = XEN_DOMCTL_debug_op };

	op.u.debug_op.vcpu = vcpu;
	op.u.debug_op.op = on ? XEN_DOMCTL_DEBUG_OP_SINGLE_STEP_ON :
				XEN_DOMCTL_DEBUG_OP_SINGLE_STEP_OFF;
	return xen_hyper_domctl(h, &op);
}

static uint32_t apic(const struct hvm_hw_lapic_regs *regs, unsigned reg)
{
	uint32_t value;

	memcpy(&value, regs->data + reg, sizeof(value));
	return value;
}

void xen_wake(struct xen_hyper *h, unsigned vcpu)
{
	struct hvm_hw_lapic_regs regs = { 0 };
	uint32_t timer;

	if (xen_hyper_record(h, HVM_SAVE_CODE(LAPIC_REGS), vcpu, &regs, sizeof(regs)) < 0)
		return;
	timer = apic(&regs, LVT_TIMER);
	/* It has no tick then. */
	if (!(apic(&regs, SPURIOUS) & ENABLED) || timer & MASKED || (timer & 0xff) < 16)
		return;
	/* Xen takes it for the tick, if one waits, and sets the timer again. */
	xen_hyper_interrupt(h, vcpu, (uint8_t)timer);
}
