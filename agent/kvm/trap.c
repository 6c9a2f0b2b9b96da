/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>

#include "access.h"
#include "agent/event/arm.h"
#include "agent/memory/slat.h"
#include "ram.h"

/*
 * A page that a view traps has no access in KVM's mapping of it: KVM_RUN then fails
 * with EFAULT, the vCPU in front of the instruction.  What of it is trapped the
 * instruction says; when the client has been asked of each, it is stepped with
 * those pages open, while no other vCPU executes.
 */

#define PAGE_SHIFT 12

/* Of the instruction at rip, so many accesses have been told of: they pass. */
static bool told(struct kvcpu *k, const struct accesses *all, unsigned n)
{
	return k->told_rip == all->rip && n < k->told;
}

static bool traps(const struct vcpu *vcpu, const struct access *a)
{
	uint64_t entry = vcpu->slat ? slat_find(vcpu->slat, a->gpa >> PAGE_SHIFT & SLAT_GFNS) : 0;

	return entry & a->access & SLAT_TRAPS;
}

static bool wanted(const struct vcpu *vcpu, const struct access *a)
{
	struct trap t = { .gpa = a->gpa, .gva = a->gva, .access = a->access, .size = a->size,
			  .walk = a->walk };

	return arm_filters() && filter_match_memory(arm_filters(), vcpu->index, vcpu->view, &t);
}

/* True: go on with the instruction. */
static bool tell(struct vcpu *vcpu, struct kvcpu *k, const struct accesses *all, unsigned n)
{
	const struct access *a = &all->at[n];
	struct scry_event event;

	kvm_describe(vcpu, &event);
	event.kind = SCRY_EVENT_MEMORY;
	event.insn_len = all->insn_len;
	event.memory.gva = a->gva;
	event.memory.gpa = a->gpa;
	event.memory.access = a->access;
	event.memory.size = a->size;
	event.memory.walk = a->walk;
	k->told_rip = all->rip;
	k->told = n + 1;
	k->next_rip = all->rip + all->insn_len;
	if (kvm_ask(vcpu, k, &event))
		return true;
	if (vcpu->action != SCRY_CONTINUE || vcpu->jumps || vcpu->injects)
		k->told = 0;		/* it has not been let pass */
	return false;
}

static void open_pages(const struct accesses *all, bool open)
{
	for (unsigned i = 0; i < all->count; i++) {
		const struct access *a = &all->at[i];
		/* The walker sets the accessed and dirty bits. */
		bool write = a->access & SCRY_WRITE || a->walk;

		if (!ram_blocks(a->gpa >> PAGE_SHIFT, write))
			continue;
		if (open)
			ram_open(a->gpa >> PAGE_SHIFT, write);
		else
			ram_close(a->gpa >> PAGE_SHIFT);
	}
}

/*
 * Execute the instruction, the others held.  Its page tables may be in trapped
 * pages, too, or it has accesses that it does not tell of: then with all open.
 */
static int step_open(struct vcpu *vcpu, struct kvcpu *k, const struct accesses *all)
{
	int ret, err;

	kvm_step_prepare(vcpu, k);
	open_pages(all, true);
	ret = kvm_ioctl(k->fd, KVM_RUN, NULL);
	err = errno;
	open_pages(all, false);
	if (ret < 0 && err == EFAULT) {
		ram_open_all();
		ret = kvm_ioctl(k->fd, KVM_RUN, NULL);
		err = errno;
		ram_close_all();
	}
	errno = err;
	return ret;
}

static void hold_others(struct kvcpu *k)
{
	qemu.cpu_exec_end(k->cpu);
	qemu.start_exclusive();
}

static void let_go(struct kvcpu *k)
{
	int err = errno;

	qemu.end_exclusive();
	qemu.cpu_exec_start(k->cpu);
	errno = err;
}

/* What comes of the step; its own end is not to be seen. */
static enum kvm_outcome after(struct vcpu *vcpu, struct kvcpu *k, int *ret)
{
	kvm_step_end(vcpu, k);
	if (*ret < 0)
		return KVM_TO_QEMU;
	k->told = 0;
	k->broken = false;
	k->passes = false;
	if (k->run->exit_reason != KVM_EXIT_DEBUG)
		return arm_filters() ? kvm_look(vcpu, k) : KVM_TO_QEMU;
	if (vcpu->steps)
		return kvm_debug_exit(vcpu, k);
	kvm_step_over(k);
	return KVM_AGAIN;
}

enum kvm_outcome kvm_trap(struct vcpu *vcpu, struct kvcpu *k, int *ret)
{
	struct accesses all;

	accesses_find(k, &all);
	if (!kvm_breakpoint_in_page(vcpu, k, all.rip))
		return KVM_AGAIN;
	for (unsigned i = 0; i < all.count; i++)
		if (traps(vcpu, &all.at[i]) && !told(k, &all, i) && wanted(vcpu, &all.at[i]) &&
		    !tell(vcpu, k, &all, i))
			return KVM_AGAIN;
	hold_others(k);
	*ret = step_open(vcpu, k, &all);
	let_go(k);
	return after(vcpu, k, ret);
}

/* What that view traps passes: the client has chosen it for this instruction. */
enum kvm_outcome kvm_step_in_view(struct vcpu *vcpu, struct kvcpu *k, int *ret)
{
	unsigned back = vcpu->view;
	struct accesses all;

	hold_others(k);
	ram_enter(k->step_view);
	accesses_find(k, &all);
	*ret = step_open(vcpu, k, &all);
	k->steps_in = *ret < 0;		/* it is still to come */
	ram_enter(back);
	let_go(k);
	return after(vcpu, k, ret);
}
