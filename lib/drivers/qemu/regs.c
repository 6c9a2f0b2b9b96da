/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "qemu.h"

/* Have the command that the slot was filled for carried out. */
static int run(struct scry_vm *vm, unsigned vcpu, struct scry_agent_slot *slot,
	       enum scry_agent_op op)
{
	qemu_slot_post(slot, op);
	return qemu_slot_await(vm, vcpu);
}

int qemu_regs_get(struct scry_vm *vm, unsigned vcpu, struct scry_regs *regs)
{
	int ret;
	struct scry_agent_slot *slot = qemu_slot_take(vm, vcpu, &ret);

	if (!slot)
		return ret;
	ret = run(vm, vcpu, slot, SCRY_AGENT_OP_REGS_GET);
	if (!ret)
		*regs = slot->regs;
	qemu_slot_give(vm, vcpu);
	return ret;
}

int qemu_regs_set(struct scry_vm *vm, unsigned vcpu, const struct scry_regs *regs, uint64_t mask)
{
	int ret;
	struct scry_agent_slot *slot = qemu_slot_take(vm, vcpu, &ret);

	if (!slot)
		return ret;
	slot->regs = *regs;
	slot->set = mask;
	ret = run(vm, vcpu, slot, SCRY_AGENT_OP_REGS_SET);
	qemu_slot_give(vm, vcpu);
	return ret;
}

int qemu_inject(struct scry_vm *vm, unsigned vcpu, const struct scry_injection *injection)
{
	int ret;
	struct scry_agent_slot *slot = qemu_slot_take(vm, vcpu, &ret);

	if (!slot)
		return ret;
	slot->action = injection->type;
	slot->exception = injection->exception;
	if (injection->type != SCRY_INTERRUPT_EXCEPTION)
		slot->exception.vector = injection->vector;
	ret = run(vm, vcpu, slot, SCRY_AGENT_OP_INJECT);
	qemu_slot_give(vm, vcpu);
	return ret;
}

int qemu_msr_get(struct scry_vm *vm, unsigned vcpu, uint32_t index, uint64_t *value)
{
	int ret;
	struct scry_agent_slot *slot = qemu_slot_take(vm, vcpu, &ret);

	if (!slot)
		return ret;
	slot->msr_index = index;
	ret = run(vm, vcpu, slot, SCRY_AGENT_OP_MSR_GET);
	if (!ret)
		*value = slot->msr_value;
	qemu_slot_give(vm, vcpu);
	return ret;
}

int qemu_msr_set(struct scry_vm *vm, unsigned vcpu, uint32_t index, uint64_t value)
{
	int ret;
	struct scry_agent_slot *slot = qemu_slot_take(vm, vcpu, &ret);

	if (!slot)
		return ret;
	slot->msr_index = index;
	slot->msr_value = value;
	ret = run(vm, vcpu, slot, SCRY_AGENT_OP_MSR_SET);
	qemu_slot_give(vm, vcpu);
	return ret;
}

/* Copy what the agent put into the slot: how long the area is, or SCRY_E_PROTOCOL. */
static int copy_xsave(const struct scry_agent_slot *slot, void *area, size_t size)
{
	uint32_t len = __atomic_load_n(&slot->xsave_size, __ATOMIC_RELAXED);

	if (len > sizeof(slot->xsave))
		return scry_fail(SCRY_E_PROTOCOL, "the agent gave an XSAVE area that is too large");
	if (size)
		memcpy(area, slot->xsave, size < len ? size : len);
	return (int)len;
}

int qemu_xsave_get(struct scry_vm *vm, unsigned vcpu, void *area, size_t size)
{
	int ret;
	struct scry_agent_slot *slot = qemu_slot_take(vm, vcpu, &ret);

	if (!slot)
		return ret;
	ret = run(vm, vcpu, slot, SCRY_AGENT_OP_XSAVE_GET);
	if (!ret)
		ret = copy_xsave(slot, area, size);
	qemu_slot_give(vm, vcpu);
	return ret;
}

int qemu_xsave_set(struct scry_vm *vm, unsigned vcpu, const void *area, size_t size)
{
	int ret;
	struct scry_agent_slot *slot;

	if (size > SCRY_AGENT_XSAVE)
		return scry_fail(SCRY_E_INVAL, "an XSAVE area of %zu bytes is too large: ask "
				 "scry_xsave_get() for the length", size);
	slot = qemu_slot_take(vm, vcpu, &ret);
	if (!slot)
		return ret;
	memcpy(slot->xsave, area, size);
	slot->set = size;
	ret = run(vm, vcpu, slot, SCRY_AGENT_OP_XSAVE_SET);
	qemu_slot_give(vm, vcpu);
	return ret;
}
