/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include <scry/paging.h>

#include "../../paging/as.h"
#include "../../ram.h"
#include "kvmi.h"

/*
 * A hidden breakpoint is a trap on fetches from its frame: nothing is written to the
 * guest.  What is fetched from there is stepped over with the frame open and the other
 * vCPUs held, so that none passes unseen.  As long as a vCPU stays in the frame it is
 * stepped on, which costs less than to shut it behind each instruction: a kernel's entry
 * code would else take longer than from one interrupt to the next.
 */
#define STAY 200u	/* instructions at most, for the others' sake */

#define CR3_ADDRESS (~(UINT64_C(0xfff) | UINT64_C(1) << 63))

bool kvmi_break_in_locked(struct kvmi_vm *k, uint64_t gfn)
{
	for (size_t i = 0; i < k->break_count; i++)
		if (k->breaks[i].gfn == gfn)
			return true;
	return false;
}

static bool hits(const struct scry_breakpoint *b, const struct kvmi_occurrence *o)
{
	uint64_t rip = o->arch.gprs.rip;
	uint64_t gpa = (o->part.pf.gpa & ~UINT64_C(0xfff)) | (rip & 0xfff);

	if (b->vcpus && !(b->vcpus >> o->vcpu & 1))
		return false;
	if (b->flags & SCRY_BREAKPOINT_CR3 && (b->cr3 ^ o->arch.sregs.cr3) & CR3_ADDRESS)
		return false;
	/* The rest of an instruction that began in the page before is none. */
	if (o->part.pf.gva != KVMI_UNMAPPED && (o->part.pf.gva ^ rip) & ~UINT64_C(0xfff))
		return false;
	return b->address == (b->flags & SCRY_BREAKPOINT_PHYSICAL ? gpa : rip);
}

int kvmi_break_hit_locked(struct kvmi_vm *k, const struct kvmi_occurrence *o)
{
	int hit = 0;

	if (!kvmi_break_in_locked(k, o->part.pf.gpa >> 12))
		return 0;
	for (size_t i = 0; i < k->break_count; i++)
		if (k->breaks[i].gfn == o->part.pf.gpa >> 12 &&
		    hits(&k->breaks[i].breakpoint, o) && (!hit || k->breaks[i].number < hit))
			hit = k->breaks[i].number;
	return hit ? hit : -1;
}

bool kvmi_is_open_locked(const struct kvmi_vm *k, unsigned view, uint64_t gfn)
{
	return k->stepping >= 0 && view == k->step_view &&
	       ((k->step_frames > 0 && k->step_gfn[0] == gfn) ||
		(k->step_frames > 1 && k->step_gfn[1] == gfn));
}

bool kvmi_is_step_locked(const struct kvmi_vm *k, const struct kvmi_occurrence *o)
{
	return k->stepping == (int)o->vcpu && o->arch.gprs.rip == k->step_rip;
}

/* Tell the kernel of a frame that is stepped in: open, or shut again. */
static void send_step_frame(struct kvmi_vm *k, uint64_t gfn)
{
	const struct kvmi_page_access_entry entry = {
		.gpa = gfn << 12, .access = kvmi_allowed_locked(k, k->step_view, gfn),
	};
	const struct kvmi_call call = kvmi_access_call(k->generation, k->step_view, &entry, 1);

	kvmi_post_locked(k, &call, -1);
}

/* An instruction is fetched from two frames at most. */
static void open_frame(struct kvmi_vm *k, uint64_t gfn)
{
	if (!kvmi_is_open_locked(k, k->step_view, gfn) && k->step_frames < 2)
		k->step_gfn[k->step_frames++] = gfn;
	send_step_frame(k, gfn);
}

static void shut_frames(struct kvmi_vm *k)
{
	while (k->step_frames)
		send_step_frame(k, k->step_gfn[--k->step_frames]);
}

/*
 * Nothing of this is waited for: the kernel carries these out one after the other,
 * the vCPUs held have left the guest before the frame is open.
 */
static void begin_step(struct kvmi_vm *k, unsigned vcpu)
{
	struct kvmi_vcpu_state *v = &k->vcpu[vcpu];
	const struct kvmi_call step = kvmi_step_call(vcpu, true);
	const struct kvmi_over over = v->over;

	v->over = (struct kvmi_over){ 0 };
	k->stepping = (int)vcpu;
	k->step_rip = over.rip;
	k->step_cr3 = v->at.arch.sregs.cr3;
	k->step_cs = v->at.arch.sregs.cs.base;
	k->step_count = 1;
	k->step_view = kvmi_view_now(v);
	kvmi_hold_others_locked(k, vcpu);
	for (unsigned i = 0; i < over.frames; i++)
		open_frame(k, over.gfn[i]);
	if (!v->armed.step)
		kvmi_post_locked(k, &step, -1);
	kvmi_answer_locked(k, vcpu, over.action, over.value);
	pthread_cond_broadcast(&k->keep);
}

/* One vCPU at a time; one that is paused has to wait for its resume. */
void kvmi_next_step_locked(struct kvmi_vm *k)
{
	for (unsigned i = 0; k->stepping < 0 && i < k->vm->vcpus; i++)
		if (k->vcpu[i].over.due && !k->vcpu[i].holds)
			begin_step(k, i);
}

/* The instruction that is stepped over goes on into another frame: that one opens, too. */
static void step_on(struct kvmi_vm *k, unsigned vcpu)
{
	const struct kvmi_occurrence *o = &k->vcpu[vcpu].at;

	if (!kvmi_is_step_locked(k, o)) {
		/* It has been done, or an exception taken in its place: this is another. */
		shut_frames(k);
		k->step_rip = o->arch.gprs.rip;
	}
	open_frame(k, o->part.pf.gpa >> 12);
	kvmi_answer_locked(k, vcpu, KVMI_RETRY, 0);
}

static void step_later(struct kvmi_vm *k, unsigned vcpu, enum kvmi_action action, uint64_t value)
{
	struct kvmi_over *over = &k->vcpu[vcpu].over;

	over->due = true;
	over->broken_off = false;
	over->action = action;
	over->value = value;
	kvmi_next_step_locked(k);
}

void kvmi_step_over_locked(struct kvmi_vm *k, unsigned vcpu)
{
	struct kvmi_vcpu_state *v = &k->vcpu[vcpu];
	uint64_t gfn = v->at.part.pf.gpa >> 12;

	if (k->stepping == (int)vcpu) {
		step_on(k, vcpu);
		return;
	}
	/* One that was broken off, and is retried, goes on into another frame. */
	if (v->over.rip != v->at.arch.gprs.rip)
		v->over.frames = 0;
	if (v->over.frames == 2 || (v->over.frames && v->over.gfn[0] == gfn))
		v->over.frames--;
	v->over.gfn[v->over.frames++] = gfn;
	v->over.rip = v->at.arch.gprs.rip;
	step_later(k, vcpu, KVMI_RETRY, 0);
}

static void end_step(struct kvmi_vm *k, unsigned vcpu)
{
	shut_frames(k);
	k->stepping = -1;
	kvmi_release_others_locked(k, vcpu);
}

void kvmi_break_off_locked(struct kvmi_vm *k, unsigned vcpu)
{
	struct kvmi_over *over = &k->vcpu[vcpu].over;

	if (k->stepping != (int)vcpu)
		return;
	*over = (struct kvmi_over){ .broken_off = true, .rip = k->step_rip,
				    .frames = k->step_frames };
	memcpy(over->gfn, k->step_gfn, sizeof(over->gfn));
	end_step(k, vcpu);
	kvmi_next_step_locked(k);
}

void kvmi_go_on_locked(struct kvmi_vm *k, unsigned vcpu, enum kvmi_action action, uint64_t value)
{
	const struct kvmi_call off = kvmi_step_call(vcpu, false);
	struct kvmi_vcpu_state *v = &k->vcpu[vcpu];

	if (v->over.broken_off && kvmi_gprs_next(v).rip == v->over.rip && !v->traps_due) {
		step_later(k, vcpu, action, value);
		return;
	}
	/* The instruction is not to be carried out any more. */
	if (v->over.broken_off && !v->back && !kvmi_wants_step_locked(k, vcpu))
		kvmi_post_locked(k, &off, -1);
	v->over = (struct kvmi_over){ 0 };
	kvmi_answer_locked(k, vcpu, action, value);
}

/* Is the next instruction in the frame that is open, too, with nothing to tell of it? */
static bool stays(struct kvmi_vm *k, unsigned vcpu)
{
	struct kvmi_occurrence next = k->vcpu[vcpu].at;
	uint64_t rip = next.arch.gprs.rip;

	if (k->vcpu[vcpu].holds || k->step_frames != 1 || k->step_count == STAY ||
	    (rip ^ k->step_rip) >= KVMI_PAGE || next.arch.sregs.cr3 != k->step_cr3 ||
	    next.arch.sregs.cs.base != k->step_cs ||
	    kvmi_traps_locked(k, k->step_view, k->step_gfn[0]) & SCRY_EXEC)
		return false;
	next.part.pf = (struct kvmi_event_pf){ .gva = rip,
					       .gpa = k->step_gfn[0] << 12 | rip % KVMI_PAGE };
	return kvmi_break_hit_locked(k, &next) < 0;
}

void kvmi_stepped_locked(struct kvmi_vm *k, unsigned vcpu)
{
	struct kvmi_vcpu_state *v = &k->vcpu[vcpu];
	const struct kvmi_call off = kvmi_step_call(vcpu, false);
	bool over = k->stepping == (int)vcpu, back = v->back;
	bool wanted = kvmi_wants_step_locked(k, vcpu);
	uint64_t rip = v->at.arch.gprs.rip;

	/* Something else ended it before the instruction was done: once more. */
	if (v->at.part.step.failed &&
	    ((back && rip == v->back_rip) || (over && rip == k->step_rip))) {
		kvmi_answer_locked(k, vcpu, KVMI_CONTINUE, 0);
		return;
	}
	if (over && !back && !wanted && !v->at.part.step.failed && stays(k, vcpu)) {
		k->step_rip = rip;
		k->step_count++;
		kvmi_answer_locked(k, vcpu, KVMI_CONTINUE, 0);
		return;
	}
	if (back) {
		const struct kvmi_call view = kvmi_view_call(vcpu, v->back_view);

		kvmi_post_locked(k, &view, -1);
		v->back = false;
	}
	/* Ours is over; and one that nobody wants may be of a subscription that failed. */
	if (!wanted)
		kvmi_post_locked(k, &off, -1);
	if (over)
		end_step(k, vcpu);
	v->steps += !v->at.part.step.failed;
	if (wanted && !v->at.part.step.failed)
		kvmi_tell_locked(k, vcpu, false);
	else
		kvmi_answer_locked(k, vcpu, KVMI_CONTINUE, 0);
	if (over)
		kvmi_next_step_locked(k);
}

/* In place of *as the address space of another root, with the same paging mode. */
static int other_root(struct scry_vm *vm, uint64_t root, struct scry_as **as)
{
	const struct scry_as_opts opts = { .sz = sizeof(opts), .mode = (*as)->mode,
					   .pse = (*as)->pse, .nxe = (*as)->nxe };

	scry_as_free(*as);
	return scry_as_open(vm, root, &opts, as);
}

/* The frame of a linear address: in its own address space, or in one that a vCPU is in now. */
static int find_frame(struct scry_vm *vm, const struct scry_breakpoint *b, uint64_t *gpa)
{
	struct scry_as *as = NULL;
	int ret = SCRY_E_NOTMAPPED;

	*gpa = b->address;
	if (b->flags & SCRY_BREAKPOINT_PHYSICAL)
		return 0;
	for (unsigned i = 0; ret == SCRY_E_NOTMAPPED && i < vm->vcpus; i++) {
		ret = scry_as_of_vcpu(vm, i, &as);
		if (!ret && b->flags & SCRY_BREAKPOINT_CR3)
			ret = other_root(vm, b->cr3, &as);
		if (!ret)
			ret = scry_translate(as, b->address, gpa);
		scry_as_free(as);
		as = NULL;
	}
	return ret;
}

static int find_break(const struct kvmi_vm *k, int number)
{
	for (size_t i = 0; i < k->break_count; i++)
		if (k->breaks[i].number == number)
			return (int)i;
	return -1;
}

/* The frame may have been sent already, or is on its way. */
static void undo_add(struct kvmi_vm *k, int number, int ret)
{
	int i = find_break(k, number);
	char why[KVMI_WHY];
	uint64_t gfn;

	/* The lock may have been let go: another has removed it. */
	if (i < 0)
		return;
	gfn = k->breaks[i].gfn;
	k->breaks[i] = k->breaks[--k->break_count];
	if (k->ended)
		return;
	kvmi_keep_why(why);
	kvmi_resend_locked(k, gfn);
	if (ret != SCRY_E_TIMEOUT)
		kvmi_arm_locked(k);
	scry_fail(ret, "%s", why);
}

static int add_locked(struct kvmi_vm *k, const struct scry_breakpoint *breakpoint, uint64_t gpa)
{
	struct kvmi_break *b;
	int ret, number;

	if (k->break_count == SCRY_BREAKPOINTS)
		return scry_fail(SCRY_E_NOMEM, "there are %d breakpoints already", SCRY_BREAKPOINTS);
	if (!scry_region_of(scry_current_map(k->vm), gpa))
		return scry_fail(SCRY_E_UNSUPPORTED, "KVMI traps frames of RAM only, and at 0x%llx there "
				 "is none", (unsigned long long)gpa);
	if (!k->breaks)
		k->breaks = calloc(SCRY_BREAKPOINTS, sizeof(*k->breaks));
	if (!k->breaks)
		return scry_fail(SCRY_E_NOMEM, "out of memory for breakpoints");
	b = &k->breaks[k->break_count++];
	*b = (struct kvmi_break){ ++k->next_break, *breakpoint, gpa >> 12 };
	number = k->next_break;
	ret = kvmi_arm_locked(k);
	if (!ret)
		ret = kvmi_resend_locked(k, gpa >> 12);
	if (ret < 0)
		undo_add(k, number, ret);
	return ret < 0 ? ret : number;
}

int kvmi_breakpoint_add(struct scry_vm *vm, const struct scry_breakpoint *breakpoint)
{
	struct kvmi_vm *k = kvmi_of(vm);
	uint64_t gpa;
	int ret = find_frame(vm, breakpoint, &gpa);

	if (ret == SCRY_E_NOTMAPPED)
		return scry_fail(ret, "0x%llx is not mapped now: KVMI traps frames, so that a "
				 "breakpoint can be planted only in a page that has one",
				 (unsigned long long)breakpoint->address);
	if (ret < 0)
		return ret;
	pthread_mutex_lock(&k->lock);
	ret = add_locked(k, breakpoint, gpa);
	pthread_mutex_unlock(&k->lock);
	return ret;
}

static int remove_locked(struct kvmi_vm *k, int number)
{
	int i = find_break(k, number), ret;
	uint64_t gfn;

	if (i < 0)
		return scry_fail(SCRY_E_NOTFOUND, "there is no breakpoint %d", number);
	gfn = k->breaks[i].gfn;
	k->breaks[i] = k->breaks[--k->break_count];
	ret = kvmi_resend_locked(k, gfn);
	return ret < 0 ? ret : kvmi_arm_locked(k);
}

int kvmi_breakpoint_remove(struct scry_vm *vm, int number)
{
	struct kvmi_vm *k = kvmi_of(vm);
	int ret;

	pthread_mutex_lock(&k->lock);
	ret = remove_locked(k, number);
	pthread_mutex_unlock(&k->lock);
	return ret;
}
