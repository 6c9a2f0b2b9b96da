/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "../../ram.h"
#include "altp2m.h"
#include "events.h"
#include "move.h"

uint64_t xen_view_target(const struct xen_views *views, unsigned view, uint64_t gfn)
{
	uint64_t target = view < XEN_ALTP2MS ? xen_runs_get(&views->view[view].remaps, gfn) : 0;

	return target ? target - 1 : gfn;
}

uint32_t xen_view_traps(const struct xen_views *views, unsigned view, uint64_t gfn)
{
	return (uint32_t)xen_runs_get(&views->view[view].traps, gfn);
}

uint16_t xen_view_twin(const struct xen_views *views, unsigned view)
{
	return views->view[view].twin;
}

int xen_view_of(const struct xen_views *views, uint16_t idx)
{
	for (int i = 0; i < XEN_ALTP2MS; i++)
		if (views->view[i].used && views->view[i].idx == idx)
			return i;
	return -1;
}

static int failed(struct xen_events *e, const char *what, int error)
{
	if (error == -ESRCH)
		return scry_fail(SCRY_E_GONE, "VM %s has ended", e->vm->name);
	return scry_fail(error == -ENOMEM ? SCRY_E_NOMEM : SCRY_E_IO, "Xen cannot %s of VM %s: %s",
			 what, e->vm->name, strerror(-error));
}

/* Xen has no error of its own for that: it says EINVAL. */
static int too_many(struct xen_events *e)
{
	return scry_fail(SCRY_E_NOMEM, "VM %s has as many views as Xen can keep, %d with their "
			 "twins: destroy one", e->vm->name, XEN_ALTP2MS - 1);
}

static int no_memory(struct xen_events *e)
{
	return scry_fail(SCRY_E_NOMEM, "out of memory for a view of VM %s", e->vm->name);
}

/* Tell Xen what is trapped of the frames first to last that have memory. */
static int apply(struct xen_events *e, unsigned view, uint64_t first, uint64_t last)
{
	const struct scry_map *map = scry_current_map(e->vm);
	const struct xen_view *v = &e->views.view[view];
	struct xen_batch b = { .e = e, .idx = v->idx };
	int ret = 0;

	for (size_t i = 0; i < map->count && !ret; i++) {
		const struct scry_mapped_region *r = &map->region[i];
		uint64_t gfn = r->region.gpa >> 12, end = gfn + (r->region.size >> 12);

		if (r->own)
			continue;
		for (gfn = gfn > first ? gfn : first; gfn < end && gfn <= last && !ret; gfn++)
			ret = xen_batch_add(&b, gfn, xen_runs_get(&v->traps, gfn));
	}
	return ret ? ret : xen_batch_flush(&b);
}

static int apply_one(struct xen_events *e, unsigned view, uint64_t gfn)
{
	struct xen_batch b = { .e = e, .idx = e->views.view[view].idx };
	int ret = xen_batch_add(&b, gfn, xen_runs_get(&e->views.view[view].traps, gfn));

	return ret ? ret : xen_batch_flush(&b);
}

/* A shadow into the place of its page, or back; not where the client has put another frame. */
static int shadow_in(struct xen_events *e, unsigned view, uint64_t gfn)
{
	const struct xen_view *v = &e->views.view[view];
	uint64_t frame = xen_shadow_of(e, gfn);
	int ret = 0;

	if (!xen_runs_get(&v->remaps, gfn))
		ret = xen_altp2m_remap(e, v->idx, gfn, frame ? xen_frame_gfn(e, frame) : ~UINT64_C(0));
	return ret ? ret : apply_one(e, view, gfn);
}

int xen_views_shadow(struct xen_events *e, uint64_t gfn)
{
	int ret = xen_hold(e);

	if (ret < 0)
		return -EIO;
	for (unsigned i = 0; i < XEN_ALTP2MS && !ret; i++)
		if (e->views.view[i].used)
			ret = shadow_in(e, i, gfn);
	xen_let_go(e);
	return ret;
}

/* Every trap and remap of a view, into its altp2m that has none yet. */
static int fill(struct xen_events *e, unsigned view)
{
	struct xen_view *v = &e->views.view[view];
	int ret = 0;

	for (size_t i = 0; i < v->remaps.count && !ret; i++) {
		const struct xen_run *r = &v->remaps.run[i];

		for (uint64_t gfn = r->first; gfn <= r->last && !ret; gfn++) {
			ret = xen_altp2m_remap(e, v->idx, gfn, xen_frame_gfn(e, r->value - 1));
			if (!ret && v->twin)
				ret = xen_altp2m_remap(e, v->twin, gfn, xen_frame_gfn(e, r->value - 1));
		}
	}
	for (size_t i = 0; i < v->traps.count && !ret; i++)
		ret = apply(e, view, v->traps.run[i].first, v->traps.run[i].last);
	for (size_t i = 0; i < e->breakpoints.shadows.count && !ret; i++)
		for (uint64_t gfn = e->breakpoints.shadows.run[i].first;
		     gfn <= e->breakpoints.shadows.run[i].last && !ret; gfn++)
			ret = shadow_in(e, view, gfn);
	return ret;
}

static bool is_filled(const struct xen_events *e, const struct xen_view *v)
{
	return v->used && (v->traps.count || v->remaps.count || e->breakpoints.shadows.count);
}

static int fill_all(struct xen_events *e)
{
	int ret = 0;

	for (unsigned i = 0; i < XEN_ALTP2MS && !ret; i++) {
		if (!is_filled(e, &e->views.view[i]))
			continue;
		ret = xen_hold(e);
		if (ret < 0)
			return ret;
		ret = fill(e, i);
		xen_let_go(e);
	}
	return ret;
}

bool xen_views_again(struct xen_events *e)
{
	int ret;

	pthread_mutex_lock(&e->lock);
	/* Of the frames that there are now. */
	ret = e->views.on ? scry_ram_refresh(e->vm) : 0;
	if (!ret)
		ret = fill_all(e);
	pthread_mutex_unlock(&e->lock);
	return !ret;
}

/* Xen keeps one that a vCPU is in, which halts or waits for its answer: then later. */
static void drop_p2m(struct xen_events *e, uint16_t *idx)
{
	if (*idx && xen_altp2m_op(e, HVMOP_altp2m_destroy_p2m, *idx) != -EBUSY)
		*idx = 0;
}

static void drop(struct xen_events *e, struct xen_view *v)
{
	xen_runs_free(&v->traps);
	xen_runs_free(&v->remaps);
	v->used = false;
	drop_p2m(e, &v->idx);
	drop_p2m(e, &v->twin);
}

static int turn_on(struct xen_events *e)
{
	uint64_t mode = 0;
	int ret = xen_hyper_param_get(&e->hyper, HVM_PARAM_ALTP2M, &mode);

	/* It can be set once; then other tools may have set it. */
	if (!ret && !mode)
		ret = xen_hyper_param_set(&e->hyper, HVM_PARAM_ALTP2M, XEN_ALTP2M_external);
	if (ret)
		return ret;
	e->watchdog->shared->altp2m = 1;
	ret = xen_altp2m_state(e, true);
	if (!ret)
		ret = xen_altp2m_create(e, &e->views.view[0].idx);
	if (!ret)
		ret = xen_altp2m_op(e, HVMOP_altp2m_switch_p2m, e->views.view[0].idx);
	return ret;
}

int xen_views_need(struct xen_events *e)
{
	int ret;

	if (e->views.on)
		return 0;
	ret = xen_ring_open(e);
	if (ret < 0)
		return ret;
	ret = turn_on(e);
	if (ret < 0) {
		xen_altp2m_state(e, false);
		return failed(e, "turn on the views", ret);
	}
	e->views.view[0].used = true;
	e->views.on = true;
	return xen_arm(e);
}

void xen_views_free(struct xen_views *views)
{
	for (unsigned i = 0; i < XEN_ALTP2MS; i++) {
		xen_runs_free(&views->view[i].traps);
		xen_runs_free(&views->view[i].remaps);
	}
}

static int check_there(struct xen_events *e, unsigned view)
{
	int ret = xen_events_ended(e);

	if (!ret)
		ret = xen_views_need(e);
	if (ret < 0)
		return ret;
	if (view >= XEN_ALTP2MS || !e->views.view[view].used)
		return scry_fail(SCRY_E_NOTFOUND, "there is no view %u of VM %s", view, e->vm->name);
	return 0;
}

static int copy(struct xen_events *e, unsigned view, unsigned like)
{
	struct xen_view *v = &e->views.view[view], *model = &e->views.view[like];
	int ret;

	if (!xen_runs_copy(&v->traps, &model->traps) || !xen_runs_copy(&v->remaps, &model->remaps))
		return -ENOMEM;
	ret = xen_altp2m_create(e, &v->idx);
	if (!ret && v->remaps.count)
		ret = xen_altp2m_create(e, &v->twin);
	v->used = !ret;
	return ret ? ret : fill(e, view);
}

static bool is_taken(const struct xen_view *v)
{
	return v->used || v->idx || v->twin;
}

static int create(struct xen_events *e, unsigned like)
{
	int ret = check_there(e, like);
	unsigned view = 1;

	if (ret < 0)
		return ret;
	for (unsigned i = 1; i < XEN_ALTP2MS; i++)
		if (!e->views.view[i].used)
			drop(e, &e->views.view[i]);
	while (view < XEN_ALTP2MS && is_taken(&e->views.view[view]))
		view++;
	ret = view < XEN_ALTP2MS ? copy(e, view, like) : -EINVAL;
	if (!ret)
		return (int)view;
	if (view < XEN_ALTP2MS)
		drop(e, &e->views.view[view]);
	return ret == -EINVAL ? too_many(e) : failed(e, "make a view", ret);
}

int xen_view_create(struct scry_vm *vm, unsigned like)
{
	struct xen_events *e = xen_events_of(vm);
	int ret;

	pthread_mutex_lock(&e->lock);
	ret = create(e, like);
	pthread_mutex_unlock(&e->lock);
	return ret;
}

static int protect(struct xen_events *e, unsigned view, uint64_t gfn, uint64_t count,
		   uint32_t access)
{
	int ret = check_there(e, view);

	if (ret < 0)
		return ret;
	if (!xen_runs_set(&e->views.view[view].traps, gfn, gfn + count - 1, access))
		return no_memory(e);
	ret = xen_hold(e);
	if (ret < 0)
		return ret;
	ret = apply(e, view, gfn, gfn + count - 1);
	xen_let_go(e);
	return ret < 0 ? failed(e, "trap memory", ret) : 0;
}

int xen_view_protect(struct scry_vm *vm, unsigned view, uint64_t gfn, uint64_t count,
		     uint32_t access)
{
	struct xen_events *e = xen_events_of(vm);
	int ret;

	pthread_mutex_lock(&e->lock);
	ret = protect(e, view, gfn, count, access);
	pthread_mutex_unlock(&e->lock);
	return ret;
}

/* In both altp2m of a view; what is trapped stays with gfn. */
static int change_both(struct xen_events *e, unsigned view, uint64_t gfn, uint64_t target)
{
	struct xen_view *v = &e->views.view[view];
	uint64_t frame = target == gfn ? ~UINT64_C(0) : xen_frame_gfn(e, target);
	int ret = v->twin ? 0 : xen_altp2m_create(e, &v->twin);

	if (!ret)
		ret = xen_altp2m_remap(e, v->twin, gfn, frame);
	if (!ret && target == gfn)
		return shadow_in(e, view, gfn);
	if (!ret)
		ret = xen_altp2m_remap(e, v->idx, gfn, frame);
	return ret ? ret : apply_one(e, view, gfn);
}

static int remap(struct xen_events *e, unsigned view, uint64_t gfn, uint64_t target)
{
	int ret = check_there(e, view);
	uint64_t before;

	if (ret < 0)
		return ret;
	before = xen_runs_get(&e->views.view[view].remaps, gfn);
	if (!xen_runs_set(&e->views.view[view].remaps, gfn, gfn, target == gfn ? 0 : target + 1))
		return no_memory(e);
	ret = xen_hold(e);
	if (ret < 0) {
		xen_runs_set(&e->views.view[view].remaps, gfn, gfn, before);
		return ret;
	}
	ret = change_both(e, view, gfn, target);
	xen_let_go(e);
	if (!ret)
		return 0;
	xen_runs_set(&e->views.view[view].remaps, gfn, gfn, before);
	return ret == -EINVAL ? too_many(e) : failed(e, "remap a frame", ret);
}

int xen_view_remap(struct scry_vm *vm, unsigned view, uint64_t gfn, uint64_t target)
{
	struct xen_events *e = xen_events_of(vm);
	int ret;

	pthread_mutex_lock(&e->lock);
	ret = remap(e, view, gfn, target);
	pthread_mutex_unlock(&e->lock);
	return ret;
}

static int destroy(struct xen_events *e, unsigned view)
{
	int ret = check_there(e, view);

	if (!ret)
		ret = xen_move_out(e, view);
	if (ret < 0)
		return ret;
	xen_moved(e);
	drop(e, &e->views.view[view]);
	return 0;
}

int xen_view_destroy(struct scry_vm *vm, unsigned view)
{
	struct xen_events *e = xen_events_of(vm);
	int ret;

	pthread_mutex_lock(&e->lock);
	ret = destroy(e, view);
	pthread_mutex_unlock(&e->lock);
	return ret;
}

int xen_view_switch(struct scry_vm *vm, unsigned vcpu, unsigned view)
{
	struct xen_events *e = xen_events_of(vm);
	int ret;

	pthread_mutex_lock(&e->lock);
	ret = check_there(e, view);
	if (!ret)
		ret = xen_move(e, vcpu, view);
	if (!ret)
		xen_moved(e);
	pthread_mutex_unlock(&e->lock);
	return ret;
}
