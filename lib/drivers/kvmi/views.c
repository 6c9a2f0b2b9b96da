/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "../../ram.h"
#include "kvmi.h"

/*
 * The kernel keeps a frame's access by itself; here stands what is trapped, a byte
 * a frame, for it is to be known when breakpoints come and go, or views are copied.
 */

uint8_t kvmi_traps_locked(struct kvmi_vm *k, unsigned view, uint64_t gfn)
{
	return k->view[view].trap && gfn < k->frames ? k->view[view].trap[gfn] : 0;
}

uint8_t kvmi_allowed_locked(struct kvmi_vm *k, unsigned view, uint64_t gfn)
{
	uint8_t allowed = KVMI_READ | KVMI_WRITE | KVMI_EXEC;

	allowed &= (uint8_t)~kvmi_traps_locked(k, view, gfn);
	if (kvmi_is_open_locked(k, view, gfn))
		allowed |= KVMI_EXEC;
	else if (kvmi_break_in_locked(k, gfn))
		allowed &= (uint8_t)~KVMI_EXEC;
	return allowed;
}

static int allocate(struct kvmi_vm *k, unsigned view)
{
	struct kvmi_view *v = &k->view[view];

	if (!v->trap)
		v->trap = calloc(1, k->frames);
	return v->trap ? 0 : scry_fail(SCRY_E_NOMEM, "out of memory for a view of %llu frames",
				       (unsigned long long)k->frames);
}

/*
 * Messages full of entries, several under way: no more than go out at once, for what
 * is allowed may change as soon as the lock is let go.
 */
#define MESSAGES 8

struct sender {
	struct kvmi_vm *k;
	unsigned view;
	size_t count;
	struct kvmi_page_access_entry entry[MESSAGES * KVMI_PAGE_ACCESS_MOST];
};

static int flush(struct sender *s)
{
	struct kvmi_call call[MESSAGES];
	size_t calls = 0, n;
	int ret;

	for (size_t done = 0; done < s->count; done += n) {
		n = s->count - done;
		if (n > KVMI_PAGE_ACCESS_MOST)
			n = KVMI_PAGE_ACCESS_MOST;
		call[calls++] = kvmi_access_call(s->k->generation, s->view, s->entry + done, n);
	}
	s->count = 0;
	ret = kvmi_calls_locked(s->k, call, calls);
	for (size_t i = 0; !ret && i < calls; i++)
		if (call[i].err)
			ret = kvmi_refused(s->k, &call[i]);
	return ret;
}

/* Tell the kernel what it is to allow. */
static int send_frame(struct sender *s, uint64_t gfn)
{
	s->entry[s->count++] = (struct kvmi_page_access_entry){
		.gpa = gfn << 12, .access = kvmi_allowed_locked(s->k, s->view, gfn),
	};
	return s->count == MESSAGES * KVMI_PAGE_ACCESS_MOST ? flush(s) : 0;
}

/* Those of the frames that have memory, which alone can be trapped. */
static int send_frames(struct kvmi_vm *k, unsigned view, uint64_t gfn, uint64_t end)
{
	const struct scry_map *map = scry_current_map(k->vm);
	struct sender *s = malloc(sizeof(*s));
	int ret = 0;

	if (!s)
		return scry_fail(SCRY_E_NOMEM, "out of memory for a view");
	s->k = k;
	s->view = view;
	s->count = 0;
	for (size_t i = 0; !ret && i < map->count; i++) {
		uint64_t from = map->region[i].region.gpa >> 12;
		uint64_t to = from + (map->region[i].region.size >> 12);

		for (from = from > gfn ? from : gfn; !ret && from < to && from < end; from++)
			ret = send_frame(s, from);
	}
	if (!ret)
		ret = flush(s);
	free(s);
	return ret;
}

int kvmi_resend_locked(struct kvmi_vm *k, uint64_t gfn)
{
	int ret = 0;

	for (unsigned i = 0; !ret && i < KVMI_V7_VIEWS; i++)
		if (k->view[i].exists)
			ret = send_frames(k, i, gfn, gfn + 1);
	return ret;
}

int kvmi_check_view_locked(struct kvmi_vm *k, unsigned view)
{
	if (view < KVMI_V7_VIEWS && k->view[view].exists)
		return 0;
	return scry_fail(SCRY_E_NOTFOUND, "there is no view %u", view);
}

static int protect_locked(struct kvmi_vm *k, unsigned view, uint64_t gfn, uint64_t count,
			  uint32_t access)
{
	uint64_t end = gfn + count;
	int ret = kvmi_check_view_locked(k, view);

	if (!ret)
		ret = allocate(k, view);
	if (ret < 0)
		return ret;
	if (count == 1 && !scry_region_of(scry_current_map(k->vm), gfn << 12))
		return scry_fail(SCRY_E_UNSUPPORTED, "KVMI traps frames of RAM only, and frame 0x%llx "
				 "has none", (unsigned long long)gfn);
	if (gfn >= k->frames)
		return 0;
	if (end > k->frames)
		end = k->frames;
	memset(k->view[view].trap + gfn, (int)access, end - gfn);
	return send_frames(k, view, gfn, end);
}

int kvmi_view_protect(struct scry_vm *vm, unsigned view, uint64_t gfn, uint64_t count,
		      uint32_t access)
{
	struct kvmi_vm *k = kvmi_of(vm);
	int ret;

	pthread_mutex_lock(&k->lock);
	ret = protect_locked(k, view, gfn, count, access);
	pthread_mutex_unlock(&k->lock);
	return ret;
}

/* Its number: the kernel's own choice where it makes views, else one that is there. */
static int find_view(struct kvmi_vm *k)
{
	struct kvmi_call call = kvmi_vm_call(KVMI_CREATE_EPT_VIEW, NULL, 0);
	struct kvmi_v7_view reply;
	int ret;

	if (!k->command[KVMI_CREATE_EPT_VIEW]) {
		for (int i = 1; i < (int)KVMI_V7_VIEWS; i++)
			if (!k->view[i].exists)
				return i;
		return scry_fail(SCRY_E_NOMEM, "there are %u views already, the most of this kernel",
				 KVMI_V7_VIEWS);
	}
	call.reply = &reply;
	call.reply_min = call.reply_max = sizeof(reply);
	ret = kvmi_call_locked(k, &call);
	if (ret < 0)
		return ret;
	if (reply.view && reply.view < KVMI_V7_VIEWS && !k->view[reply.view].exists)
		return reply.view;
	return scry_fail(SCRY_E_PROTOCOL, "the kernel made a view %u, which cannot be", reply.view);
}

/* Nothing stays of a view that could not be made as it was to be. */
static void undo_create(struct kvmi_vm *k, unsigned view, int ret)
{
	const struct kvmi_v7_view request = { .view = (uint16_t)view };
	struct kvmi_call call = kvmi_vm_call(KVMI_DESTROY_EPT_VIEW, &request, sizeof(request));
	char why[KVMI_WHY];

	kvmi_keep_why(why);
	if (k->view[view].trap)
		memset(k->view[view].trap, 0, k->frames);
	if (!k->ended)
		kvmi_remaps_undo_locked(k, view);
	k->view[view].remap_count = 0;
	if (!k->ended && k->command[KVMI_DESTROY_EPT_VIEW])
		kvmi_call_locked(k, &call);
	else if (!k->ended)
		send_frames(k, view, 0, k->frames);
	k->view[view].exists = false;
	scry_fail(ret, "%s", why);
}

static int create_locked(struct kvmi_vm *k, unsigned like)
{
	int ret = kvmi_check_view_locked(k, like), view;

	if (ret < 0)
		return ret;
	view = find_view(k);
	if (view < 0)
		return view;
	k->view[view].exists = true;
	ret = allocate(k, (unsigned)view);
	if (!ret && k->view[like].trap)
		memcpy(k->view[view].trap, k->view[like].trap, k->frames);
	if (!ret)
		ret = send_frames(k, (unsigned)view, 0, k->frames);
	if (!ret)
		ret = kvmi_remaps_copy_locked(k, like, (unsigned)view);
	if (!ret)
		ret = kvmi_arm_locked(k);
	if (ret < 0)
		undo_create(k, (unsigned)view, ret);
	return ret < 0 ? ret : view;
}

int kvmi_view_create(struct scry_vm *vm, unsigned like)
{
	struct kvmi_vm *k = kvmi_of(vm);
	int held = kvmi_remaps_hold(vm), ret;

	if (held < 0)
		return held;
	pthread_mutex_lock(&k->lock);
	ret = create_locked(k, like);
	pthread_mutex_unlock(&k->lock);
	if (held)
		kvmi_vcpu_go(vm, 0);
	return ret;
}

static int switch_locked(struct kvmi_vm *k, unsigned vcpu, unsigned view)
{
	struct kvmi_call call = kvmi_view_call(vcpu, view);
	int ret = kvmi_check_view_locked(k, view);

	if (!ret)
		ret = kvmi_call_locked(k, &call);
	if (!ret)
		k->vcpu[vcpu].view = view;
	return ret;
}

int kvmi_view_switch(struct scry_vm *vm, unsigned vcpu, unsigned view)
{
	struct kvmi_vm *k = kvmi_of(vm);
	int ret;

	pthread_mutex_lock(&k->lock);
	ret = switch_locked(k, vcpu, view);
	pthread_mutex_unlock(&k->lock);
	return ret;
}

/* No vCPU is to be in a view that goes, nor to come back to it from a step. */
static int leave_view(struct kvmi_vm *k, unsigned vcpu, unsigned view)
{
	struct kvmi_vcpu_state *v = &k->vcpu[vcpu];
	struct kvmi_call call;
	int ret;

	if (v->view == view && !v->back)
		return switch_locked(k, vcpu, 0);
	if (v->view == view)
		v->view = 0;
	if (v->back && v->back_view == view)
		v->back_view = 0;
	if (!v->back || v->other_view != view)
		return 0;
	call = kvmi_view_call(vcpu, v->back_view);
	ret = kvmi_call_locked(k, &call);
	if (!ret)
		v->other_view = v->back_view;
	return ret;
}

static int destroy_locked(struct kvmi_vm *k, unsigned view)
{
	const struct kvmi_v7_view request = { .view = (uint16_t)view };
	struct kvmi_call call = kvmi_vm_call(KVMI_DESTROY_EPT_VIEW, &request, sizeof(request));
	int ret = kvmi_check_view_locked(k, view);

	for (unsigned i = 0; !ret && i < k->vm->vcpus; i++)
		ret = leave_view(k, i, view);
	if (!ret)
		ret = kvmi_remaps_undo_locked(k, view);
	if (!ret && k->view[view].trap) {
		memset(k->view[view].trap, 0, k->frames);
		ret = send_frames(k, view, 0, k->frames);
	}
	if (!ret && k->command[KVMI_DESTROY_EPT_VIEW])
		ret = kvmi_call_locked(k, &call);
	if (ret < 0)
		return ret;
	k->view[view].exists = false;
	return 0;
}

int kvmi_view_destroy(struct scry_vm *vm, unsigned view)
{
	struct kvmi_vm *k = kvmi_of(vm);
	int held = kvmi_remaps_hold(vm), ret;

	if (held < 0)
		return held;
	pthread_mutex_lock(&k->lock);
	ret = destroy_locked(k, view);
	pthread_mutex_unlock(&k->lock);
	if (held)
		kvmi_vcpu_go(vm, 0);
	return ret;
}

int kvmi_frame_create(struct scry_vm *vm, uint64_t *gfn)
{
	(void)gfn;
	return scry_fail(SCRY_E_UNSUPPORTED, "VM %s: KVMI has no frames of the tool's own", vm->name);
}

int kvmi_frame_destroy(struct scry_vm *vm, uint64_t gfn)
{
	return scry_fail(SCRY_E_NOTFOUND, "frame 0x%llx is none of this handle's on VM %s",
			 (unsigned long long)gfn, vm->name);
}

void kvmi_views_drop(struct kvmi_vm *k)
{
	for (unsigned i = 0; i < KVMI_V7_VIEWS; i++) {
		free(k->view[i].trap);
		free(k->view[i].remap);
	}
}
