/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "kvmi.h"

/*
 * Another frame shown in a frame's place (CHANGE_GFN, v7).  The first kernels took two
 * frames, and did it in the view that the vCPU is in; later ones have the view in front,
 * and neither looks at the length.
 */

static struct kvmi_call change_call(const struct kvmi_vm *k, unsigned view, uint64_t gfn,
				    uint64_t target)
{
	const struct kvmi_v7_change_gfn first = { .old_gfn = gfn, .new_gfn = target };
	const struct kvmi_v7_change_gfn_in_view later = { .view = (uint16_t)view, .old_gfn = gfn,
							  .new_gfn = target };

	return k->remaps == KVMI_REMAPS_FIRST ?
	       kvmi_vcpu_call(KVMI_CHANGE_GFN, 0, &first, sizeof(first)) :
	       kvmi_vcpu_call(KVMI_CHANGE_GFN, 0, &later, sizeof(later));
}

/*
 * Ask for what neither does, and they refuse differently: to the first it is to show the
 * reserved frame ~0 in place of 0; to the later, 0 in place of ~0, which is no frame.
 */
static int find_layout(struct kvmi_vm *k)
{
	const struct kvmi_v7_change_gfn_in_view ask = { .old_gfn = KVMI_UNMAPPED };
	struct kvmi_call call = kvmi_vcpu_call(KVMI_CHANGE_GFN, 0, &ask, sizeof(ask));
	int ret;

	if (k->remaps != KVMI_REMAPS_UNKNOWN)
		return 0;
	if (!k->command[KVMI_CHANGE_GFN])
		return scry_fail(SCRY_E_UNSUPPORTED, "VM %s: its kernel or QEMU does not allow remaps "
				 "(CHANGE_GFN)", k->vm->name);
	ret = kvmi_calls_locked(k, &call, 1);
	if (ret < 0)
		return ret;
	if (call.err != KVMI_EPERM && call.err != KVMI_EINVAL)
		return scry_fail(SCRY_E_UNSUPPORTED, "VM %s: its kernel takes remaps (CHANGE_GFN) in "
				 "neither of the two known ways (error %d)", k->vm->name, call.err);
	k->remaps = call.err == KVMI_EPERM ? KVMI_REMAPS_FIRST : KVMI_REMAPS_LATER;
	return 0;
}

/* vCPU 0 does not run. */
static int send_remap(struct kvmi_vm *k, unsigned view, uint64_t gfn, uint64_t target)
{
	unsigned own = kvmi_view_now(&k->vcpu[0]);
	struct kvmi_call call[3] = { kvmi_view_call(0, view), change_call(k, view, gfn, target),
				     kvmi_view_call(0, own) };
	bool there = k->remaps == KVMI_REMAPS_LATER || own == view;
	int ret = there ? 0 : kvmi_call_locked(k, &call[0]);

	/* In no other view than that: where it could not be entered nothing is changed. */
	if (!ret)
		ret = kvmi_calls_locked(k, call + 1, there ? 1 : 2);
	if (!ret && call[1].err == KVMI_EINVAL)
		return scry_fail(SCRY_E_REFUSED, "the kernel of VM %s refuses this remap: the guest "
				 "has to have used both frames, 0x%llx and 0x%llx", k->vm->name,
				 (unsigned long long)gfn, (unsigned long long)target);
	for (unsigned i = 0; !ret && i < 3; i++)
		if (call[i].err)
			ret = kvmi_refused(k, &call[i]);
	return ret;
}

static struct kvmi_remap *find(struct kvmi_view *v, uint64_t gfn)
{
	for (size_t i = 0; i < v->remap_count; i++)
		if (v->remap[i].gfn == gfn)
			return &v->remap[i];
	return NULL;
}

uint64_t kvmi_shown(struct kvmi_vm *k, unsigned view, uint64_t gpa)
{
	const struct kvmi_remap *r;

	pthread_mutex_lock(&k->lock);
	r = find(&k->view[view], gpa / KVMI_PAGE);
	if (r)
		gpa = r->target * KVMI_PAGE + gpa % KVMI_PAGE;
	pthread_mutex_unlock(&k->lock);
	return gpa;
}

/* Room for one more. */
static int reserve(struct kvmi_view *v)
{
	size_t room = v->remap_room ? v->remap_room * 2 : 16;
	struct kvmi_remap *more;

	if (v->remap_count < v->remap_room)
		return 0;
	more = realloc(v->remap, room * sizeof(*more));
	if (!more)
		return scry_fail(SCRY_E_NOMEM, "out of memory for remaps");
	v->remap = more;
	v->remap_room = room;
	return 0;
}

static int remap_locked(struct kvmi_vm *k, unsigned view, uint64_t gfn, uint64_t target)
{
	struct kvmi_view *v = &k->view[view];
	struct kvmi_remap *r;
	int ret = reserve(v);

	if (!ret)
		ret = send_remap(k, view, gfn, target);
	if (ret < 0)
		return ret;
	r = find(v, gfn);
	if (target == gfn && r)
		*r = v->remap[--v->remap_count];
	else if (target != gfn)
		*(r ? r : &v->remap[v->remap_count++]) = (struct kvmi_remap){ gfn, target };
	return 0;
}

int kvmi_view_remap(struct scry_vm *vm, unsigned view, uint64_t gfn, uint64_t target)
{
	struct kvmi_vm *k = kvmi_of(vm);
	int ret = kvmi_vcpu_stop(vm, 0);

	if (ret < 0)
		return ret;
	pthread_mutex_lock(&k->lock);
	ret = kvmi_check_view_locked(k, view);
	if (!ret)
		ret = find_layout(k);
	if (!ret)
		ret = remap_locked(k, view, gfn, target);
	pthread_mutex_unlock(&k->lock);
	kvmi_vcpu_go(vm, 0);
	return ret;
}

int kvmi_remaps_hold(struct scry_vm *vm)
{
	struct kvmi_vm *k = kvmi_of(vm);
	bool first;
	int ret;

	pthread_mutex_lock(&k->lock);
	first = k->remaps == KVMI_REMAPS_FIRST;
	pthread_mutex_unlock(&k->lock);
	ret = first ? kvmi_vcpu_stop(vm, 0) : 0;
	return ret < 0 ? ret : first;
}

int kvmi_remaps_copy_locked(struct kvmi_vm *k, unsigned from, unsigned to)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < k->view[from].remap_count; i++)
		ret = remap_locked(k, to, k->view[from].remap[i].gfn, k->view[from].remap[i].target);
	return ret;
}

int kvmi_remaps_undo_locked(struct kvmi_vm *k, unsigned view)
{
	struct kvmi_view *v = &k->view[view];
	int ret = 0;

	while (!ret && v->remap_count)
		ret = remap_locked(k, view, v->remap[0].gfn, v->remap[0].gfn);
	return ret;
}
