/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "agent/accel.h"
#include "agent/event/arm.h"
#include "kvm.h"
#include "plant.h"
#include "ram.h"
#include "sync.h"

void kvm_describe(struct vcpu *vcpu, struct scry_event *event)
{
	struct kvcpu *k = kvm_of(vcpu);
	struct kvm_sregs s = { 0 };
	struct kvm_regs r = { 0 };
	uint64_t width;

	kvm_ioctl(k->fd, KVM_GET_REGS, &r);
	kvm_ioctl(k->fd, KVM_GET_SREGS, &s);
	width = kvm_is_64bit(&s) ? ~UINT64_C(0) : UINT32_MAX;
	*event = (struct scry_event){
		.vcpu = vcpu->index,
		.sequence = ++vcpu->sequence,
		.rip = r.rip,
		.rflags = r.rflags,
		.cr3 = s.cr3,
		.cpl = s.ss.dpl,
		.view = vcpu->view,
	};
	kvm_gprs(&r, event->gpr);
	for (int i = 0; i < 16; i++)
		event->gpr[i] &= width;
	vcpu->rip = r.rip;
	vcpu->cs_base = s.cs.base;
}

#define INS_MOST 1024u		/* bytes that KVM has asked for ahead */

/* What INS is about to write; how many bytes, 0 = it is no INS. */
static unsigned ins_target(struct kvcpu *k, const struct kvm_regs *r, uint64_t *gva)
{
	const struct kvm_run *run = k->run;
	unsigned len = run->io.size * run->io.count;
	struct kvm_insn insn;

	if (run->exit_reason != KVM_EXIT_IO || run->io.direction != KVM_EXIT_IO_IN ||
	    len > INS_MOST || !kvm_insn(k, &insn) || !insn.string)
		return 0;
	*gva = insn.target;
	if (r->rflags & RFLAGS_DF)
		*gva -= len - run->io.size;
	return len;
}

/*
 * KVM_RUN finishes what it is in the middle of, and, told so, does no more.  QEMU's
 * kick, a signal whose handler sets immediate_exit, has to wait for that; what one has set
 * already must stay, as QEMU sends no second one.
 */
int kvm_run_no_further(struct kvcpu *k)
{
	sigset_t all, blocked;
	uint8_t before;
	int ret, err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &blocked);
	before = k->run->immediate_exit;
	k->run->immediate_exit = 1;
	ret = kvm_ioctl_run(k);
	err = errno;
	k->run->immediate_exit = before;
	pthread_sigmask(SIG_SETMASK, &blocked, NULL);
	errno = err;
	return ret;
}

/* For an INS KVM writes what nobody has read from the port: that is taken back. */
void kvm_finish(struct kvcpu *k)
{
	struct kvm_regs before, after;
	uint8_t kept[INS_MOST], shadow;
	uint64_t gva;
	unsigned len;

	if (!k->unfinished)
		return;
	k->unfinished = false;
	kvm_ioctl(k->fd, KVM_GET_REGS, &before);
	shadow = kvm_shadow(k);
	len = ins_target(k, &before, &gva);
	if (len && !kvm_virtual(k, gva, kept, len, false))
		len = 0;
	kvm_run_no_further(k);
	kvm_ioctl(k->fd, KVM_GET_REGS, &after);
	k->next_rip = after.rip;
	kvm_ioctl(k->fd, KVM_SET_REGS, &before);
	kvm_set_shadow(k, shadow);
	if (len)
		kvm_virtual(k, gva, kept, len, true);
}

void kvm_skip(struct kvcpu *k)
{
	struct kvm_regs regs;

	kvm_ioctl(k->fd, KVM_GET_REGS, &regs);
	regs.rip = k->next_rip;
	kvm_ioctl(k->fd, KVM_SET_REGS, &regs);
	kvm_set_shadow(k, 0);
}

void kvm_raise(struct vcpu *vcpu, struct kvcpu *k)
{
	kvm_queue_exception(k, &vcpu->exception, true);
}

bool kvm_ask(struct vcpu *vcpu, struct kvcpu *k, struct scry_event *event)
{
	bool ours = vcpu_ask(vcpu, event);
	bool stays = ours && vcpu->action == SCRY_CONTINUE && !vcpu->jumps && !vcpu->injects;

	if (stays && k->unfinished && !vcpu->outside)
		return true;		/* KVM finishes it */
	kvm_finish(k);
	if (stays && vcpu->answered)
		progress_told(k, event->kind);
	else
		progress_over(k);
	if (ours && vcpu->action == SCRY_INJECT)
		kvm_raise(vcpu, k);
	else if (ours && vcpu->action == SCRY_SKIP && !vcpu->jumps)
		kvm_skip(k);
	return stays && !vcpu->outside;
}

/* The client may want to know; false = the vCPU is elsewhere by then. */
static bool inject(struct vcpu *vcpu, struct kvcpu *k)
{
	struct kvm_regs regs = { 0 };

	vcpu->injects = false;
	kvm_ioctl(k->fd, KVM_GET_REGS, &regs);
	vcpu->rip = regs.rip;
	if (!vcpu_injected(vcpu))
		return false;
	kvm_queue_exception(k, &vcpu->injection, true);
	return true;
}

/* What the agent has for it before it runs; false = look again what that is. */
static bool prepare(struct vcpu *vcpu, struct kvcpu *k)
{
	if (vcpu->injects && !inject(vcpu, k))
		return false;
	if ((vcpu->steps || k->progress.looks) && !kvm_breakpoint_look(vcpu, k))
		return false;
	if (vcpu->steps || k->step.over)
		kvm_step_begin(vcpu, k);
	return true;
}

int kvm_enter(struct kvcpu *k)
{
	int ret, err;

	if (k->step.on)
		k->run->request_interrupt_window = 0;
	if (k->step.flags_out)
		k->run->debug.arch.dr7 = KVM_EMULATED;
	ret = kvm_ioctl_run(k);
	err = errno;
	if (k->step.on && ret < 0 && err == EINTR && kvm_step_arrived(k))
		ret = 0;
	if (k->step.on)		/* QEMU's local APIC, where it has one, waits as KVM's does */
		k->run->ready_for_interrupt_injection = 0;
	if (ret >= 0 || err != EINTR)
		k->progress.raises = false;
	if (k->step.on && (ret < 0 || !kvm_step_ended(k)))
		kvm_step_broken(k);
	errno = err;
	return ret;
}

enum kvm_outcome kvm_look(struct vcpu *vcpu, struct kvcpu *k, int *ret)
{
	bool asks = arm_filters();

	switch (k->run->exit_reason) {
	case KVM_EXIT_X86_RDMSR:
	case KVM_EXIT_X86_WRMSR:
		return kvm_msr_exit(vcpu, k);
	case KVM_EXIT_IO:
		return asks ? kvm_io_exit(vcpu, k) : KVM_TO_QEMU;
	case KVM_EXIT_HLT:
		return asks ? kvm_hlt_exit(vcpu, k) : KVM_TO_QEMU;
	case KVM_EXIT_DEBUG:
		return arm_any() || k->step.on || k->step.flags_out ?
		       kvm_debug_exit(vcpu, k) : KVM_TO_QEMU;
	case KVM_EXIT_SHUTDOWN:
		return kvm_triple_fault(vcpu, k, ret);
	default:
		return KVM_TO_QEMU;
	}
}

static enum kvm_outcome came_back(struct vcpu *vcpu, struct kvcpu *k, int *ret)
{
	if (*ret < 0)
		return errno == EFAULT && ram_is_trapped() ? kvm_trap(vcpu, k, ret) : KVM_TO_QEMU;
	if (plant_hit(k)) {
		k->unfinished = true;
		kvm_finish(k);
		return kvm_trap(vcpu, k, ret);
	}
	return kvm_look(vcpu, k, ret);
}

static enum kvm_outcome go(struct vcpu *vcpu, struct kvcpu *k, int *ret)
{
	if (k->steps_in)
		return kvm_step_in_view(vcpu, k, ret);
	*ret = kvm_enter(k);
	return came_back(vcpu, k, ret);
}

int kvm_run(struct vcpu *vcpu, struct kvcpu *k)
{
	for (;;) {
		enum kvm_outcome outcome;
		int ret;

		if (kvm_power_look(vcpu, k)) {
			sync_flush(k);
			return -1;
		}
		if (!k->step.half && !prepare(vcpu, k))
			continue;
		k->unfinished = false;
		outcome = k->step.half ? kvm_step_go_on(vcpu, k, &ret) : go(vcpu, k, &ret);
		if (outcome == KVM_TO_QEMU && k->step.on)
			k->step.half = kvm_step_half(k, ret);
		/* QEMU, or the next KVM_RUN, brings it to its end. */
		if (ret >= 0 && (outcome == KVM_TO_QEMU || k->unfinished))
			progress_over(k);
		if (outcome == KVM_TO_QEMU)
			return ret;
	}
}
