/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>

#include "agent/event/arm.h"
#include "agent/event/exception.h"
#include "kvm.h"
#include "ram.h"
#include "registers.h"
#include "registers.h"

#define QEMUS_OWN (KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP)

void kvm_debug_set(struct kvcpu *k, const struct kvm_guest_debug *debug)
{
	struct kvm_guest_debug both = *debug;

	both.control |= k->qemus & (KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP);
	kvm_ioctl(k->fd, KVM_SET_GUEST_DEBUG, &both);
}

const char *kvm_debug_lacks(void)
{
	for (unsigned i = 0; i < kvm.vcpus; i++)
		if (kvm.vcpu[i].qemus & QEMUS_OWN)
			return "QEMU's own gdbstub steps the VM, or has hardware breakpoints in it: "
			       "detach gdb first";
	return NULL;
}

/* The debug registers and the step have one owner; INT3 that gdb has planted both let through. */
int kvm_qemus_debug(struct kvcpu *k, const struct kvm_guest_debug *debug)
{
	bool ours = k->debug.control || k->step.on || k->step.flags_out || ram_is_trapped();

	if (ours && debug->control & QEMUS_OWN) {
		errno = EBUSY;
		return -1;
	}
	k->qemus = debug->control;
	if (!ours)
		return kvm_ioctl(k->fd, KVM_SET_GUEST_DEBUG, (void *)(uintptr_t)debug);
	if (!k->step.on)	/* the next step sets it */
		kvm_step_stop(k);
	return 0;
}

/* What nobody wants to know any more: the next client is to be told of it. */
static void forget(struct kvcpu *k)
{
	progress_forget(k);
	if (arm_any())
		return;
	k->progress.looks = k->step.over = false;
	k->steps_in = false;
}

static void arm_one(struct vcpu *vcpu, struct kvcpu *k, const struct filters *filters)
{
	struct kvm_guest_debug debug = { 0 };
	bool blocks, steps = filters && filter_steps(filters, vcpu->index, &blocks);

	if (filters && filter_match_kind(filters, vcpu->index, SCRY_EVENT_INT3))
		debug.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP;
	registers_arm(k, &debug);
	if (!vcpu->steps)
		vcpu->stepped = 0;
	k->step.tells &= steps;
	vcpu->steps = steps;
	forget(k);
	if (!k->step.on && memcmp(&debug, &k->debug, sizeof(debug)) == 0)
		return;
	k->debug = debug;
	kvm_step_stop(k);
}

void kvm_debug_arm(const struct filters *filters)
{
	for (unsigned i = 0; i < vcpu_count; i++)
		arm_one(&vcpus[i], kvm_of(&vcpus[i]), filters);
}

static enum kvm_outcome int3(struct vcpu *vcpu, struct kvcpu *k)
{
	const struct scry_exception breakpoint = { .vector = VECTOR_BP };
	struct scry_event event;
	struct kvm_insn insn;
	bool goes_on = true;

	if (arm_filters() && filter_match_kind(arm_filters(), vcpu->index, SCRY_EVENT_INT3) &&
	    !progress_passes(k, SCRY_EVENT_INT3)) {
		kvm_describe(vcpu, &event);
		event.kind = SCRY_EVENT_INT3;
		kvm_insn(k, &insn);
		event.insn_len = insn.len;
		k->next_rip = event.rip + insn.len;
		goes_on = kvm_ask(vcpu, k, &event);
	}
	if (goes_on && k->qemus & KVM_GUESTDBG_USE_SW_BP)
		return KVM_TO_QEMU;	/* gdb's, or QEMU gives it to the guest */
	if (goes_on)
		kvm_queue_exception(k, &breakpoint, false);
	return KVM_AGAIN;
}

void kvm_guests_debug(struct kvcpu *k, uint64_t dr6)
{
	const struct scry_exception debug = { .vector = VECTOR_DB };
	struct kvm_debugregs regs;
	uint64_t now;

	kvm_ioctl(k->fd, KVM_GET_DEBUGREGS, &regs);
	now = dr6 & (registers_enabled(regs.dr7) | DR6_STEP);
	if (dr6 && !now)	/* what is in force is older: the guest has none of these any more */
		return;
	dr6 = now;
	regs.dr6 = (regs.dr6 & ~(uint64_t)DR6_BREAKPOINTS) | dr6;
	kvm_ioctl(k->fd, KVM_SET_DEBUGREGS, &regs);
	kvm_queue_exception(k, &debug, false);
}

/*
 * The guest may have one of its own at the same place.  Where KVM emulates the guest
 * altogether RF is of no use.
 */
static enum kvm_outcome breakpoint(struct vcpu *vcpu, struct kvcpu *k, uint64_t guests)
{
	k->step.over = kvm_breakpoint_passes(k);
	if (k->step.over || !(kvm_breakpoint(vcpu, k) || kvm_breakpoint_passes(k)))
		return KVM_AGAIN;
	kvm_breakpoint_pass(k, !guests);
	if (guests)
		kvm_guests_debug(k, guests);
	return KVM_AGAIN;
}

/* The guest may watch the same, or step itself.  What it is stopped in front of comes anew. */
static enum kvm_outcome watchpoint(struct vcpu *vcpu, struct kvcpu *k, uint64_t dr6)
{
	uint64_t guests = dr6 & (k->guests | DR6_STEP);

	if (!kvm_watchpoint_hit(vcpu, k, dr6 & k->watches) && guests)
		kvm_guests_debug(k, guests);
	return KVM_AGAIN;
}

enum kvm_outcome kvm_debug_exit(struct vcpu *vcpu, struct kvcpu *k)
{
	uint64_t dr6 = k->run->debug.arch.dr6;

	if (k->qemus & QEMUS_OWN)
		return KVM_TO_QEMU;
	if (k->run->debug.arch.exception == VECTOR_BP)
		return int3(vcpu, k);
	if (kvm_step_ended(k)) {
		kvm_step_end(vcpu, k);
		return kvm_step_tell(vcpu, k);
	}
	/* TF has come back, unless KVM has but emulated an instruction. */
	if (k->step.flags_out && dr6 & DR6_STEP) {
		if (k->run->debug.arch.dr7 == KVM_EMULATED)
			return KVM_AGAIN;
		k->step.flags_out = false;
		kvm_step_stop(k);
		dr6 &= ~(uint64_t)DR6_STEP;
		if (!(dr6 & (k->watches | k->guests)))
			return KVM_AGAIN;
	}
	if (dr6 & k->watches)
		return watchpoint(vcpu, k, dr6);
	if (dr6 & k->points)
		return breakpoint(vcpu, k, dr6 & k->guests);
	kvm_guests_debug(k, dr6 & (DR6_BREAKPOINTS | DR6_STEP));	/* KVM leaves it to us */
	return KVM_AGAIN;
}
