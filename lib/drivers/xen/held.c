/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "events.h"

#define WITH_REPLY (SCRY_REGS_GPR | SCRY_REG_BIT(SCRY_REG_RIP) | SCRY_REG_BIT(SCRY_REG_RFLAGS))

static struct xen_vcpu *lock(struct scry_vm *vm, unsigned vcpu)
{
	struct xen_vcpu *v = &xen_events_of(vm)->vcpu[vcpu];

	pthread_mutex_lock(&v->lock);
	return v;
}

static void copy(struct scry_regs *to, const struct scry_regs *from, uint64_t mask)
{
	for (unsigned reg = 0; reg <= SCRY_REG_RFLAGS; reg++)
		if (mask >> reg & 1)
			*scry_reg_ref(to, reg) = scry_reg_value(from, reg);
}

void xen_held_show(struct scry_vm *vm, unsigned vcpu, struct scry_regs *regs)
{
	struct xen_vcpu *v = lock(vm, vcpu);
	const struct scry_event *event = &v->event;

	if (v->pending) {
		for (unsigned i = 0; i < 16; i++)
			regs->gpr[i] = event->gpr[i];
		regs->rip = event->rip;
		regs->rflags = event->rflags;
		if (event->kind == SCRY_EVENT_XSETBV)
			regs->xcr0 = event->xsetbv.old_value;
		if (event->kind == SCRY_EVENT_CR_WRITE && v->insn.clts)
			regs->cr0 = event->cr.old_value;
		copy(regs, &v->kept, v->keep);
	}
	pthread_mutex_unlock(&v->lock);
}

uint64_t xen_held_keep(struct scry_vm *vm, unsigned vcpu, const struct scry_regs *regs,
		       uint64_t mask)
{
	struct xen_vcpu *v = lock(vm, vcpu);

	if (v->pending) {
		copy(&v->kept, regs, mask & WITH_REPLY);
		v->keep |= mask & WITH_REPLY;
		mask &= ~WITH_REPLY;
	}
	pthread_mutex_unlock(&v->lock);
	return mask;
}

bool xen_held_inject(struct scry_vm *vm, unsigned vcpu, const struct scry_exception *exception)
{
	struct xen_vcpu *v = lock(vm, vcpu);
	bool held = v->pending;

	if (held) {
		v->inject = true;
		v->injection = *exception;
	}
	pthread_mutex_unlock(&v->lock);
	return held;
}
