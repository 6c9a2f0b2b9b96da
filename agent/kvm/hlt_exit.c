/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dlfcn.h>

#include "agent/event/arm.h"
#include "kvm.h"
#include "protocol/bits.h"

/*
 * HLT comes out of KVM_RUN where QEMU has the local APICs.  KVM has gone behind it by then,
 * and has ended the shadow of the STI before it: for the event both are taken back.
 */

/* One of QEMU's own flags, which it has set before it loads the agent. */
static bool qemu_flag(const char *name, bool otherwise)
{
	const bool *flag = dlsym(RTLD_DEFAULT, name);

	return flag ? *flag : otherwise;
}

bool kvm_halts_in_qemu(void)
{
	return !qemu_flag("kvm_kernel_irqchip", true);
}

const char *kvm_hlt_lacks(void)
{
	if (qemu_flag("enable_cpu_pm", false))
		return "with cpu-pm=on the processor executes it, and tells nobody";
	if (!kvm_halts_in_qemu())
		return "KVM handles it in the kernel, and tells nobody, unless QEMU has -accel "
		       "kvm,kernel-irqchip=off";
	return NULL;
}

static bool follows_sti(struct kvcpu *k, const struct kvm_regs *r)
{
	struct kvm_sregs s;
	uint8_t before;

	return kvm_ioctl(k->fd, KVM_GET_SREGS, &s) == 0 &&
	       kvm_virtual(k, kvm_code_address(&s, r) - 1, &before, 1, false) && before == OPCODE_STI;
}

static bool take_back(struct kvcpu *k)
{
	struct kvm_regs r;

	if (kvm_ioctl(k->fd, KVM_GET_REGS, &r) < 0)
		return false;
	k->next_rip = r.rip;
	r.rip -= 1;		/* its prefixes, which nobody writes, do nothing */
	if (kvm_ioctl(k->fd, KVM_SET_REGS, &r) < 0)
		return false;
	if (follows_sti(k, &r))
		kvm_set_shadow(k, KVM_X86_SHADOW_INT_STI);
	return true;
}

/* True: it is to halt. */
static bool ask(struct vcpu *vcpu, struct kvcpu *k)
{
	struct scry_event event;

	if (progress_passes(k, SCRY_EVENT_HLT))
		return true;
	kvm_describe(vcpu, &event);
	event.kind = SCRY_EVENT_HLT;
	event.insn_len = 1;
	return kvm_ask(vcpu, k, &event);
}

enum kvm_outcome kvm_hlt_exit(struct vcpu *vcpu, struct kvcpu *k)
{
	if (!filter_match_kind(arm_filters(), vcpu->index, SCRY_EVENT_HLT) || !take_back(k))
		return KVM_TO_QEMU;
	if (!ask(vcpu, k))
		return KVM_AGAIN;
	kvm_skip(k);
	return KVM_TO_QEMU;
}
