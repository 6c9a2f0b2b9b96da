/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "../../../protocol/futex.h"
#include "gprs.h"
#include "kvmi.h"

static int running(struct kvmi_vm *k, unsigned vcpu)
{
	return scry_fail(SCRY_E_STATE, "vCPU %u of VM %s is running", vcpu, k->vm->name);
}

static bool stands(struct kvmi_vm *k, unsigned vcpu)
{
	const struct kvmi_vcpu_state *v = &k->vcpu[vcpu];

	return v->holds || v->queued || v->told;
}

static int fetch(struct kvmi_vm *k, unsigned vcpu, struct kvmi_registers_reply *all, uint64_t *xcr0)
{
	static const struct kvmi_get_registers no_msrs;
	static const struct kvmi_get_xcr first;
	struct kvmi_call call[2] = {
		kvmi_vcpu_call(KVMI_GET_REGISTERS, vcpu, &no_msrs, sizeof(no_msrs)),
		kvmi_vcpu_call(KVMI_GET_XCR, vcpu, &first, sizeof(first)),
	};
	int ret;

	call[0].reply = all;
	call[0].reply_min = call[0].reply_max = sizeof(*all);
	call[1].reply = xcr0;
	call[1].reply_min = call[1].reply_max = sizeof(*xcr0);
	*xcr0 = 0;
	ret = kvmi_calls_locked(k, call, k->command[KVMI_GET_XCR] ? 2 : 1);
	if (!ret && call[0].err)
		ret = kvmi_refused(k, &call[0]);
	if (!ret && call[1].err)
		ret = kvmi_refused(k, &call[1]);
	return ret;
}

int kvmi_regs_get(struct scry_vm *vm, unsigned vcpu, struct scry_regs *regs)
{
	struct kvmi_vm *k = kvmi_of(vm);
	struct kvmi_registers_reply all;
	uint64_t xcr0;
	int ret;

	pthread_mutex_lock(&k->lock);
	ret = stands(k, vcpu) ? fetch(k, vcpu, &all, &xcr0) : running(k, vcpu);
	/* What was set is there when the event is answered; the kernel tells the old until then. */
	if (!ret && k->vcpu[vcpu].regs_set)
		all.gprs = k->vcpu[vcpu].gprs;
	pthread_mutex_unlock(&k->lock);
	if (ret < 0)
		return ret;
	memset(regs, 0, sizeof(*regs));
	kvmi_gprs_out(&all.gprs, regs->gpr);
	regs->rip = all.gprs.rip;
	regs->rflags = all.gprs.rflags;
	kvmi_sregs_out(&all.sregs, regs);
	regs->xcr0 = xcr0;
	return 0;
}

#define RFLAGS_RESERVED (~UINT64_C(0x3f7fd7))	/* Intel SDM volume 1, 3.4.3: zero, but bit 1 */

/* KVM takes any value; the processor would not. */
static int check_values(const struct scry_regs *regs, uint64_t mask)
{
	if (mask & ~KVMI_SETTABLE)
		return scry_fail(SCRY_E_UNSUPPORTED, "KVMI writes the general registers, rip and rflags "
				 "only, not %s", scry_reg_name(__builtin_ctzll(mask & ~KVMI_SETTABLE)));
	if (mask & SCRY_REG_BIT(SCRY_REG_RFLAGS) &&
	    (regs->rflags & RFLAGS_RESERVED || !(regs->rflags & 2)))
		return scry_fail(SCRY_E_REFUSED, "rflags cannot be 0x%llx: reserved bits",
				 (unsigned long long)regs->rflags);
	if (mask & SCRY_REG_BIT(SCRY_REG_RIP) &&
	    (uint64_t)((int64_t)(regs->rip << 7) >> 7) != regs->rip)
		return scry_fail(SCRY_E_REFUSED, "rip cannot be 0x%llx: not canonical",
				 (unsigned long long)regs->rip);
	return 0;
}

struct kvmi_gprs kvmi_gprs_next(const struct kvmi_vcpu_state *v)
{
	return v->regs_set ? v->gprs : v->at.arch.gprs;
}

int kvmi_put_gprs_locked(struct kvmi_vm *k, unsigned vcpu, const struct kvmi_gprs *gprs)
{
	struct kvmi_vcpu_state *v = &k->vcpu[vcpu];
	struct kvmi_call call = kvmi_vcpu_call(KVMI_SET_REGISTERS, vcpu, NULL, 0);
	int ret;

	call.data = gprs;
	call.data_len = sizeof(*gprs);
	ret = kvmi_call_locked(k, &call);
	if (ret < 0)
		return ret;
	v->gprs = *gprs;
	v->regs_set = true;
	return 0;
}

int kvmi_set_gprs_locked(struct kvmi_vm *k, unsigned vcpu, const struct scry_regs *regs,
			 uint64_t mask)
{
	struct kvmi_gprs gprs = kvmi_gprs_next(&k->vcpu[vcpu]);
	int ret = check_values(regs, mask);

	if (ret < 0)
		return ret;
	kvmi_gprs_in(&gprs, regs, mask);
	return kvmi_put_gprs_locked(k, vcpu, &gprs);
}

/* Registers can be set in an event only; a stopped vCPU comes to its PAUSE event. */
static int await_event(struct kvmi_vm *k, unsigned vcpu)
{
	uint64_t end = scry_now_ns() + (uint64_t)k->vm->timeout_ms * 1000000u;

	while (!k->ended && !k->vcpu[vcpu].waits)
		if (kvmi_read_locked(k, end) && !k->vcpu[vcpu].waits)
			return scry_fail(SCRY_E_TIMEOUT, "vCPU %u of VM %s did not come to its pause "
					 "within %d ms: does it run at all?", vcpu, k->vm->name,
					 k->vm->timeout_ms);
	return k->ended ? kvmi_ended(k) : 0;
}

int kvmi_regs_set(struct scry_vm *vm, unsigned vcpu, const struct scry_regs *regs, uint64_t mask)
{
	struct kvmi_vm *k = kvmi_of(vm);
	int ret;

	pthread_mutex_lock(&k->lock);
	ret = check_values(regs, mask);
	if (!ret)
		ret = stands(k, vcpu) ? await_event(k, vcpu) : running(k, vcpu);
	if (!ret)
		ret = kvmi_set_gprs_locked(k, vcpu, regs, mask);
	pthread_mutex_unlock(&k->lock);
	return ret;
}

int kvmi_msr_get(struct scry_vm *vm, unsigned vcpu, uint32_t index, uint64_t *value)
{
	const struct {
		struct kvmi_get_registers get;
		uint32_t index;
	} request = { { .msrs = 1 }, index };
	struct {
		struct kvmi_registers_reply all;
		struct kvmi_msr msr;
	} reply;
	struct kvmi_vm *k = kvmi_of(vm);
	struct kvmi_call call = kvmi_vcpu_call(KVMI_GET_REGISTERS, vcpu, &request,
					       sizeof(request.get) + sizeof(request.index));
	int ret;

	call.reply = &reply;
	call.reply_min = call.reply_max = sizeof(reply);
	ret = kvmi_calls(k, &call, 1);
	if (!ret && call.err == KVMI_EINVAL)
		ret = scry_fail(SCRY_E_REFUSED, "vCPU %u of VM %s has no MSR 0x%x that KVM would "
				"tell", vcpu, vm->name, index);
	else if (!ret && call.err)
		ret = kvmi_refused(k, &call);
	if (ret < 0)
		return ret;
	if (reply.all.msrs != 1 || reply.msr.index != index)
		return scry_fail(SCRY_E_PROTOCOL, "the kernel told another MSR than 0x%x", index);
	*value = reply.msr.value;
	return 0;
}

/* How long the area may be: KVM's, or longer where a message says so. */
#define XSAVE_MOST (KVMI_PAYLOAD_MOST - sizeof(struct kvmi_status))

int kvmi_xsave_get(struct scry_vm *vm, unsigned vcpu, void *area, size_t size)
{
	struct kvmi_call call = kvmi_vcpu_call(KVMI_GET_XSAVE, vcpu, NULL, 0);
	uint8_t bytes[XSAVE_MOST];
	int ret;

	call.reply = bytes;
	call.reply_min = 576;
	call.reply_max = sizeof(bytes);
	ret = kvmi_call(kvmi_of(vm), &call);
	if (ret < 0)
		return ret;
	if (size)
		memcpy(area, bytes, size < call.reply_len ? size : call.reply_len);
	return (int)call.reply_len;
}

int kvmi_xsave_set(struct scry_vm *vm, unsigned vcpu, const void *area, size_t size)
{
	struct kvmi_call call = kvmi_vcpu_call(KVMI_SET_XSAVE, vcpu, NULL, 0);

	if (size < KVMI_XSAVE || size > KVMI_PAYLOAD_MOST - sizeof(struct kvmi_vcpu))
		return scry_fail(SCRY_E_INVAL, "an XSAVE area of %zu bytes is none of KVM's: ask "
				 "scry_xsave_get() for the length", size);
	call.data = area;
	call.data_len = size;
	return kvmi_call(kvmi_of(vm), &call);
}
