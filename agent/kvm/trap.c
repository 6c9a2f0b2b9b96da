/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>

#include "access.h"
#include "agent/event/arm.h"
#include "agent/memory/slat.h"
#include "alone.h"
#include "perform.h"
#include "ram.h"

/*
 * A page that a view traps has no access in KVM's mapping of it: KVM_RUN then fails
 * with EFAULT, the vCPU in front of the instruction.  What of it is trapped the
 * instruction says; when the client has been asked of each, it is stepped with
 * those pages open, while no other vCPU executes.
 */

#define PAGE_SHIFT 12

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

static bool is_told(const struct kvcpu *k, const struct access *a)
{
	for (unsigned i = 0; i < k->progress.accesses; i++)
		if (k->told[i].gva == a->gva && k->told[i].gpa == a->gpa &&
		    k->told[i].access == a->access)
			return true;
	return false;
}

/* Should the instruction be begun anew, this access passes. */
static void note_told(struct kvcpu *k, const struct access *a, unsigned before)
{
	bool passes = k->progress.told >> SCRY_EVENT_MEMORY & 1;

	k->progress.accesses = passes ? before % TOLD_MOST : 0;
	if (passes)
		k->told[k->progress.accesses++] =
			(struct told){ .gva = a->gva, .gpa = a->gpa, .access = a->access };
}

/* True: go on with the instruction. */
static bool tell(struct vcpu *vcpu, struct kvcpu *k, const struct accesses *all, unsigned n)
{
	const struct access *a = &all->at[n];
	unsigned before = k->progress.accesses;
	struct scry_event event;
	bool goes_on;

	kvm_describe(vcpu, &event);
	event.kind = SCRY_EVENT_MEMORY;
	event.insn_len = all->insn_len;
	event.memory.gva = a->gva;
	event.memory.gpa = a->gpa;
	event.memory.access = a->access;
	event.memory.size = a->size;
	event.memory.walk = a->walk;
	k->next_rip = all->rip + all->insn_len;
	goes_on = kvm_ask(vcpu, k, &event);
	note_told(k, a, before);
	return goes_on;
}

/* True: of each access that the client wants to know of it has been told, and lets it pass. */
static bool tell_all(struct vcpu *vcpu, struct kvcpu *k, const struct accesses *all)
{
	if (!progress_passes(k, SCRY_EVENT_MEMORY))
		k->progress.accesses = 0;
	for (unsigned i = 0; i < all->count; i++)
		if (traps(vcpu, &all->at[i]) && !is_told(k, &all->at[i]) &&
		    wanted(vcpu, &all->at[i]) && !tell(vcpu, k, all, i))
			return false;
	return true;
}

static void open_pages(const struct accesses *all, bool open)
{
	for (unsigned i = 0; i < all->count; i++) {
		const struct access *a = &all->at[i];
		bool write = access_writes(a);

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

	kvm_step_begin(vcpu, k);
	open_pages(all, true);
	ret = alone_enter(k);
	err = errno;
	open_pages(all, false);
	if (ret < 0 && err == EFAULT && k->step.left) {
		err = EINTR;	/* the handler's own accesses are to be told of */
	} else if (ret < 0 && err == EFAULT) {
		ram_open_all();
		ret = alone_enter(k);
		err = errno;
		ram_close_all();
	}
	errno = err;
	return ret;
}

/* Has it come to its end?  Before anybody else goes on nothing of it is left but to be told of. */
static bool close_step(struct vcpu *vcpu, struct kvcpu *k, int ret)
{
	bool ended = ret >= 0 && kvm_step_ended(k);
	int err = errno;

	if (ended)
		kvm_step_end(vcpu, k);
	else if (!vcpu->steps && kvm_step_half(k, ret) != STEP_READS)
		kvm_step_stop(k);
	errno = err;
	return ended;
}

/* What comes of the step, which may be more than its end. */
static enum kvm_outcome after(struct vcpu *vcpu, struct kvcpu *k, bool ended, int *ret)
{
	if (*ret < 0)
		return KVM_TO_QEMU;
	return ended ? kvm_step_tell(vcpu, k) : kvm_look(vcpu, k, ret);
}

enum kvm_outcome kvm_trap(struct vcpu *vcpu, struct kvcpu *k, int *ret)
{
	struct performing performing;
	struct accesses all;
	uint8_t vector;
	bool ended;

	all.count = 0;
	/* Of an exception on its way nobody knows what of it is trapped. */
	if (!kvm_delivers(k, &vector)) {
		accesses_find(k, &all);
		perform_look(vcpu, k, &all, &performing);
		if (!kvm_breakpoint_in_page(vcpu, k) || !tell_all(vcpu, k, &all) ||
		    perform(vcpu, k, &all, &performing))
			return KVM_AGAIN;
	}
	alone_begin(k);
	*ret = step_open(vcpu, k, &all);
	ended = close_step(vcpu, k, *ret);
	alone_end(k);
	return after(vcpu, k, ended, ret);
}

enum kvm_outcome kvm_trap_go_on(struct vcpu *vcpu, struct kvcpu *k, int *ret)
{
	bool ended;
	int err;

	alone_begin(k);
	if (!k->step.on)
		kvm_step_begin(vcpu, k);
	k->step.half = STEP_WHOLE;
	ram_open_all();
	*ret = alone_enter(k);
	err = errno;
	ram_close_all();
	errno = err;
	ended = close_step(vcpu, k, *ret);
	alone_end(k);
	return after(vcpu, k, ended, ret);
}

/* What that view traps passes: the client has chosen it for this instruction. */
enum kvm_outcome kvm_step_in_view(struct vcpu *vcpu, struct kvcpu *k, int *ret)
{
	unsigned back = vcpu->view;
	struct accesses all;
	bool ended;

	alone_begin(k);
	ram_enter(k->step_view);
	accesses_find(k, &all);
	*ret = step_open(vcpu, k, &all);
	k->steps_in = *ret < 0;		/* it is still to come */
	ended = close_step(vcpu, k, *ret);
	ram_enter(back);
	alone_end(k);
	return after(vcpu, k, ended, ret);
}
