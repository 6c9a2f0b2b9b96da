/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/event/arm.h"
#include "agent/event/exception.h"
#include "kvm.h"
#include "protocol/bits.h"
#include "target.h"

/*
 * KVM steps by TF, and says nothing of an exception that the instruction raises
 * instead: its handler would run on, and the guest find TF in the flags that the
 * processor has saved.  So a breakpoint lies on each place where it may go (target.c).
 */

/* The kick may come when an exception has been delivered, and its breakpoint not been met yet. */
bool kvm_step_arrived(struct kvcpu *k)
{
	struct kvm_debug_exit_arch *exit = &k->run->debug.arch;
	struct kvm_sregs s = { 0 };
	struct kvm_regs r = { 0 };

	kvm_ioctl(k->fd, KVM_GET_REGS, &r);
	kvm_ioctl(k->fd, KVM_GET_SREGS, &s);
	for (unsigned i = 0; i < KVM_REGISTERS; i++) {
		uint64_t at = k->step.target[i].address;

		if (!at || r.rip == k->step.rip || kvm_code_address(&s, &r) != at)
			continue;
		k->run->exit_reason = KVM_EXIT_DEBUG;
		*exit = (struct kvm_debug_exit_arch){ .exception = VECTOR_DB, .pc = at, .dr6 = 1u << i };
		return true;
	}
	return false;
}

/* If it has left its instruction the TF that was saved will come back with a handler's IRET. */
void kvm_step_broken(struct kvcpu *k)
{
	struct kvm_regs r = { 0 };

	if (k->run->exit_reason == KVM_EXIT_SHUTDOWN)
		return;
	kvm_ioctl(k->fd, KVM_GET_REGS, &r);
	k->step.left = r.rip - k->step.rip > KVM_CODE;	/* OUTS leaves it behind itself */
	k->step.flags_out |= k->step.left && !k->step.tf;
}

/* TF is set anew for each step: the instruction before may have cleared it. */
void kvm_step_begin(struct vcpu *vcpu, struct kvcpu *k)
{
	struct kvm_guest_debug debug = k->debug;
	struct step *step = &k->step;
	struct kvm_regs r = { 0 };

	kvm_ioctl(k->fd, KVM_GET_REGS, &r);
	if (!step->on)		/* later KVM hides it */
		step->tf = r.rflags & RFLAGS_TF;
	step->rip = r.rip;
	step->on = true;
	step->left = false;
	step->half = STEP_WHOLE;
	targets_find(vcpu, k, &r);
	step->watched = kvm_own_watches(k);
	kvm_watchpoint_foresee(vcpu, k);
	debug.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_BLOCKIRQ |
			 KVM_GUESTDBG_USE_HW_BP;
	debug.arch.debugreg[7] = DR7_USED;
	for (unsigned i = 0; i < KVM_REGISTERS; i++) {
		debug.arch.debugreg[i] = step->target[i].address;
		if (step->target[i].address)
			debug.arch.debugreg[7] |= 2u << 2 * i;
	}
	kvm_debug_set(k, &debug);
}

/* KVM sets TF where rip is when it is told to step, and only there: so there it is not. */
static void wait_for_flags(struct kvcpu *k, struct kvm_regs *r)
{
	struct kvm_guest_debug debug = k->debug;

	debug.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
	r->rip ^= 1;
	kvm_ioctl(k->fd, KVM_SET_REGS, r);
	kvm_debug_set(k, &debug);
	r->rip ^= 1;
	kvm_ioctl(k->fd, KVM_SET_REGS, r);
}

void kvm_step_stop(struct kvcpu *k)
{
	bool own = k->step.on && k->step.tf;
	struct kvm_regs r = { 0 };

	kvm_ioctl(k->fd, KVM_GET_REGS, &r);
	k->step.on = false;
	if (k->step.half == STEP_WRITES)
		k->step.half = STEP_WHOLE;
	if (k->step.flags_out) {
		wait_for_flags(k, &r);
		return;
	}
	kvm_debug_set(k, &k->debug);
	if (!own)
		return;
	r.rflags |= RFLAGS_TF;
	kvm_ioctl(k->fd, KVM_SET_REGS, &r);
}

/* One of its own, by DR0 to DR3, at rip?  They are not in force while it steps. */
static uint64_t guests_breakpoints(struct kvcpu *k, const struct kvm_regs *r)
{
	struct kvm_debugregs d;
	uint64_t hit = 0;

	if (r->rflags & RFLAGS_RF)
		return 0;
	kvm_ioctl(k->fd, KVM_GET_DEBUGREGS, &d);
	for (unsigned i = 0; i < 4; i++)
		if (d.dr7 >> 2 * i & 3 && !(d.dr7 >> (16 + 4 * i) & 15) && d.db[i] == r->rip)
			hit |= UINT64_C(1) << i;
	return hit;
}

/* Flags that the step's TF was saved with. */
static void clean_word(struct kvcpu *k, uint64_t at)
{
	uint16_t flags;

	if (!kvm_virtual(k, at, &flags, sizeof(flags), false))
		return;
	flags &= (uint16_t)~RFLAGS_TF;
	kvm_virtual(k, at, &flags, sizeof(flags), true);
}

static void clean_saved(struct kvcpu *k, struct kvm_regs *r)
{
	if (k->step.saves == STEP_PUSHES)
		clean_word(k, r->rsp);
	if (k->step.saves != STEP_SYSCALL)
		return;
	r->r11 &= ~(uint64_t)RFLAGS_TF;
	kvm_ioctl(k->fd, KVM_SET_REGS, r);
}

/* The TF that it has taken is the guest's own, unless it is a step's that has been out. */
static void take_flags(struct step *step)
{
	if (step->pops && step->flags_out && step->tf_behind)
		step->flags_out = step->tf_behind = false;
	step->tf = step->tf_behind;
}

/* True: with the guest's own TF, whose exception comes now. */
static bool at_next(struct kvcpu *k, struct kvm_regs *r)
{
	bool traps = k->step.tf;

	if (!traps)
		clean_saved(k, r);
	take_flags(&k->step);
	return traps;
}

static void at_target(struct kvcpu *k, const struct target *target, struct kvm_regs *r)
{
	struct step *step = &k->step;

	if (target->vector != NO_VECTOR) {
		if (!step->tf)
			clean_word(k, r->rsp + (exception_with_error((unsigned)target->vector) ? 24 : 16));
		step->tf = false;
	} else if (step->saves == STEP_SYSCALL) {
		if (!step->tf)
			clean_saved(k, r);
		step->tf = false;
	} else {
		take_flags(step);
	}
}

bool kvm_step_ended(const struct kvcpu *k)
{
	const struct kvm_debug_exit_arch *exit = &k->run->debug.arch;

	return k->step.on && k->run->exit_reason == KVM_EXIT_DEBUG &&
	       exit->exception != VECTOR_BP && exit->dr6 & (DR6_BREAKPOINTS | DR6_STEP);
}

void kvm_step_end(struct vcpu *vcpu, struct kvcpu *k)
{
	uint64_t dr6 = k->run->debug.arch.dr6;
	struct kvm_regs r = { 0 };

	kvm_ioctl(k->fd, KVM_GET_REGS, &r);
	k->step.over = false;
	k->step.due = 0;
	k->step.tells = vcpu->steps;
	progress_over(k);
	k->progress.looks = k->points;
	if (!(dr6 & DR6_STEP)) {
		k->step.hits = 0;
		at_target(k, &k->step.target[__builtin_ctzll(dr6 & DR6_BREAKPOINTS)], &r);
	} else {
		k->step.due = (at_next(k, &r) ? DR6_STEP : 0) | k->step.watched;
	}
	if (!vcpu->steps)
		kvm_step_stop(k);
}

/* True: nothing else comes of it: the client injects something, or QEMU has put it elsewhere. */
static bool tell(struct vcpu *vcpu, struct kvcpu *k)
{
	struct scry_event event;
	struct kvm_regs regs;

	kvm_ioctl(k->fd, KVM_GET_REGS, &regs);
	if (!arm_filters() ||
	    !filter_match_step(arm_filters(), vcpu->index, ++vcpu->stepped, regs.rip))
		return false;
	kvm_describe(vcpu, &event);
	event.kind = SCRY_EVENT_STEP;
	if (!vcpu_ask(vcpu, &event))
		return true;
	if (vcpu->action != SCRY_INJECT)
		return false;
	kvm_raise(vcpu, k);
	return true;
}

enum kvm_outcome kvm_step_tell(struct vcpu *vcpu, struct kvcpu *k)
{
	uint64_t own = k->step.due;
	struct kvm_regs regs = { 0 };

	k->step.due = 0;
	if (kvm_watchpoint_stepped(vcpu, k) || (k->step.tells && tell(vcpu, k)))
		return KVM_AGAIN;
	kvm_ioctl(k->fd, KVM_GET_REGS, &regs);
	if (k->step.on)
		own |= guests_breakpoints(k, &regs);
	if (own)
		kvm_guests_debug(k, own);
	return KVM_AGAIN;
}
