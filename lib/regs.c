/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "driver.h"
#include "stopped.h"
#include "vm.h"

static const char *const names[] = {
#define SCRY_REG_NAME(NAME, name) name,
	SCRY_REGS(SCRY_REG_NAME)
#undef SCRY_REG_NAME
};

const char *scry_reg_name(enum scry_reg reg)
{
	return (unsigned)reg < SCRY_REG_COUNT ? names[reg] : NULL;
}

int scry_reg_find(const char *name)
{
	for (int i = 0; name && i < SCRY_REG_COUNT; i++)
		if (!strcmp(names[i], name))
			return i;
	return scry_fail(SCRY_E_INVAL, "there is no register '%s'", name ? name : "");
}

uint64_t *scry_reg_ref(struct scry_regs *r, enum scry_reg reg)
{
	if (reg <= SCRY_REG_R15)
		return &r->gpr[reg];
	if (reg >= SCRY_REG_DR0 && reg <= SCRY_REG_DR3)
		return &r->dr[reg - SCRY_REG_DR0];
	switch (reg) {
	case SCRY_REG_RIP:	return &r->rip;
	case SCRY_REG_RFLAGS:	return &r->rflags;
	case SCRY_REG_GDTR:	return &r->gdtr.base;
	case SCRY_REG_IDTR:	return &r->idtr.base;
	case SCRY_REG_CR0:	return &r->cr0;
	case SCRY_REG_CR2:	return &r->cr2;
	case SCRY_REG_CR3:	return &r->cr3;
	case SCRY_REG_CR4:	return &r->cr4;
	case SCRY_REG_CR8:	return &r->cr8;
	case SCRY_REG_XCR0:	return &r->xcr0;
	case SCRY_REG_DR6:	return &r->dr6;
	case SCRY_REG_DR7:	return &r->dr7;
	case SCRY_REG_EFER:	return &r->efer;
	default:		return NULL;
	}
}

uint64_t scry_reg_value(const struct scry_regs *regs, enum scry_reg reg)
{
	const uint64_t *ref = scry_reg_ref((struct scry_regs *)regs, reg);

	if (ref)
		return *ref;
	if (reg >= SCRY_REG_ES && reg <= SCRY_REG_TR)
		return regs->seg[reg - SCRY_REG_ES].selector;
	return 0;
}

static int make_regs_get(struct scry_vm *vm, unsigned vcpu, const struct vcpu_call *c)
{
	return vm->driver->regs_get(vm, vcpu, c->regs);
}

static int make_regs_set(struct scry_vm *vm, unsigned vcpu, const struct vcpu_call *c)
{
	return vm->driver->regs_set(vm, vcpu, c->new_regs, c->mask);
}

static int make_msr_get(struct scry_vm *vm, unsigned vcpu, const struct vcpu_call *c)
{
	return vm->driver->msr_get(vm, vcpu, c->index, c->value_out);
}

static int make_msr_set(struct scry_vm *vm, unsigned vcpu, const struct vcpu_call *c)
{
	return vm->driver->msr_set(vm, vcpu, c->index, c->value);
}

static int make_xsave_get(struct scry_vm *vm, unsigned vcpu, const struct vcpu_call *c)
{
	return vm->driver->xsave_get(vm, vcpu, c->area, c->size);
}

static int make_xsave_set(struct scry_vm *vm, unsigned vcpu, const struct vcpu_call *c)
{
	return vm->driver->xsave_set(vm, vcpu, c->new_area, c->size);
}

int scry_regs_get(struct scry_vm *vm, unsigned vcpu, struct scry_regs *regs)
{
	return scry_on_stopped(vm, SCRY_CAP_REGS_READ, vcpu,
			       &(struct vcpu_call){ .make = make_regs_get, .regs = regs });
}

int scry_regs_set(struct scry_vm *vm, unsigned vcpu, const struct scry_regs *regs, uint64_t mask)
{
	if (mask & ~SCRY_REGS_ALL)
		return scry_fail(SCRY_E_INVAL, "the mask names registers that do not exist");
	return scry_on_stopped(vm, SCRY_CAP_REGS_WRITE, vcpu,
			       &(struct vcpu_call){ .make = make_regs_set, .new_regs = regs,
						    .mask = mask });
}

int scry_msr_get(struct scry_vm *vm, unsigned vcpu, uint32_t index, uint64_t *value)
{
	return scry_on_stopped(vm, SCRY_CAP_MSR_READ, vcpu,
			       &(struct vcpu_call){ .make = make_msr_get, .index = index,
						    .value_out = value });
}

int scry_msr_set(struct scry_vm *vm, unsigned vcpu, uint32_t index, uint64_t value)
{
	return scry_on_stopped(vm, SCRY_CAP_MSR_WRITE, vcpu,
			       &(struct vcpu_call){ .make = make_msr_set, .index = index,
						    .value = value });
}

int scry_xsave_get(struct scry_vm *vm, unsigned vcpu, void *area, size_t size)
{
	return scry_on_stopped(vm, SCRY_CAP_XSAVE_READ, vcpu,
			       &(struct vcpu_call){ .make = make_xsave_get, .area = area,
						    .size = size });
}

int scry_xsave_set(struct scry_vm *vm, unsigned vcpu, const void *area, size_t size)
{
	return scry_on_stopped(vm, SCRY_CAP_XSAVE_WRITE, vcpu,
			       &(struct vcpu_call){ .make = make_xsave_set, .new_area = area,
						    .size = size });
}
