/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <string.h>

#include "../common/message.h"
#include "gdb.h"

#define PAGE UINT64_C(4096)

static bool is_watch(const struct point *p)
{
	return p->type >= POINT_WRITE;
}

static uint32_t access_of(const struct point *p)
{
	return p->type == POINT_WRITE ? SCRY_WRITE : p->type == POINT_READ ? SCRY_READ :
	       SCRY_READ | SCRY_WRITE;
}

static struct point *find(struct gdb *g, const struct point *like)
{
	for (int i = 0; i < GDB_POINTS; i++) {
		struct point *p = &g->point[i];

		if (p->used && p->type == like->type && p->address == like->address &&
		    (!is_watch(p) || p->size == like->size))
			return p;
	}
	return NULL;
}

static struct point *new_point(struct gdb *g, const struct point *like)
{
	for (int i = 0; i < GDB_POINTS; i++) {
		if (g->point[i].used)
			continue;
		g->point[i] = *like;
		g->point[i].used = true;
		return &g->point[i];
	}
	return NULL;
}

/* Where the bytes are that are watched: by what is mapped now. */
static int locate(struct gdb *g, struct point *p)
{
	struct scry_as *as = gdb_as(g);
	uint64_t at = p->address, left = p->size;

	for (p->parts = 0; left; p->parts++) {
		uint64_t room = PAGE - (at & (PAGE - 1)), n = left < room ? left : room, gpa;

		if (!as || scry_translate(as, at, &gpa) < 0)
			return -1;
		p->part[p->parts].first = gpa;
		p->part[p->parts].last = gpa + n - 1;
		at += n;
		left -= n;
	}
	return 0;
}

static bool parse(const char *what, struct point *p)
{
	uint64_t type;

	*p = (struct point){ 0 };
	if (!take_hex(&what, &type) || type > POINT_ACCESS || !take_text(&what, ",") ||
	    !take_hex(&what, &p->address) || !take_text(&what, ",") || !take_hex(&what, &p->size))
		return false;
	p->type = (enum point_type)type;
	return true;
}

/*
 * Can a debug register watch it?  A trap is on memory, whoever accesses it: addresses that
 * not every process has only go into a register where there are no traps.
 */
static bool suits_register(struct gdb *g, const struct point *p)
{
	bool sized = p->size == 1 || p->size == 2 || p->size == 4 || p->size == 8;

	return sized && p->address % p->size == 0 && scry_cap(g->vm, SCRY_CAP_EVENT_WATCHPOINT, NULL) &&
	       (p->address >> 63 || !scry_cap(g->vm, SCRY_CAP_VIEWS, NULL));
}

/* Can the VM have such points at all? */
static bool possible(struct gdb *g, const struct point *p)
{
	enum scry_cap cap = !is_watch(p) ? SCRY_CAP_EVENT_BREAKPOINT :
			    suits_register(g, p) ? SCRY_CAP_EVENT_WATCHPOINT : SCRY_CAP_VIEWS;
	const char *reason;

	if (!scry_cap(g->vm, cap, &reason)) {
		gdb_fail(g, "%s", reason);
		return false;
	}
	if (!is_watch(p) || (p->size && p->size <= GDB_WATCH))
		return true;
	/* gdb keeps to itself why it could not be set. */
	note("gdb is refused a watchpoint of %" PRIu64 " bytes: 1 to %u can be watched", p->size,
	     GDB_WATCH);
	gdb_fail(g, "a watchpoint is of 1 to %u bytes", GDB_WATCH);
	return false;
}

void gdb_point(struct gdb *g, const char *what, bool wanted)
{
	struct point like, *p;

	if (!parse(what, &like)) {
		gdb_fail(g, "no such kind of break- or watchpoint");
		return;
	}
	if (wanted && !possible(g, &like))
		return;
	p = find(g, &like);
	/*
	 * GDB takes all away at each stop, and puts them back before it goes on: they are
	 * armed, or no longer, only when it does.
	 */
	if (wanted && !p) {
		if (is_watch(&like) && locate(g, &like) < 0) {
			gdb_fail_lib(g);
			return;
		}
		p = new_point(g, &like);
		if (!p) {
			gdb_fail(g, "too many break- and watchpoints: at most %d", GDB_POINTS);
			return;
		}
	}
	if (p)
		p->wanted = wanted;
	out_text(&g->out, "OK");
}

/* All that armed points watch in a frame. */
static int protect(struct gdb *g, uint64_t gfn)
{
	uint32_t access = 0;

	for (int i = 0; i < GDB_POINTS; i++) {
		const struct point *p = &g->point[i];

		for (unsigned part = 0; p->armed && part < p->parts; part++)
			if (p->part[part].subscription && p->part[part].first >> 12 == gfn)
				access |= access_of(p);
	}
	return scry_view_protect(g->vm, 0, gfn, 1, access);
}

static void unwatch(struct gdb *g, struct point *p)
{
	for (unsigned i = 0; i < p->parts; i++) {
		if (!p->part[i].subscription)
			continue;
		scry_unsubscribe(g->vm, p->part[i].subscription);
		p->part[i].subscription = 0;
		protect(g, p->part[i].first >> 12);
	}
}

static int watch(struct gdb *g, struct point *p)
{
	for (unsigned i = 0; i < p->parts; i++) {
		struct scry_subscription sub = { .sz = sizeof(sub), .kind = SCRY_EVENT_MEMORY };
		int number;

		sub.memory.access = access_of(p);
		sub.memory.use_range = 1;
		sub.memory.first = p->part[i].first;
		sub.memory.last = p->part[i].last;
		number = scry_subscribe(g->vm, &sub);
		if (number < 0)
			return number;
		p->part[i].subscription = number;
		number = protect(g, p->part[i].first >> 12);
		if (number < 0)
			return number;
	}
	return 0;
}

/* One that is for reads only is told of writes, too: gdb looks whether the value has changed. */
static int arm_register(struct gdb *g, struct point *p)
{
	struct scry_watchpoint w = { .sz = sizeof(w), .address = p->address, .size = (uint32_t)p->size,
				     .access = access_of(p) | SCRY_WRITE };
	struct scry_as *as = p->address >> 63 ? NULL : gdb_as(g);
	int number;

	if (as) {
		w.flags = SCRY_WATCHPOINT_CR3;
		w.cr3 = scry_as_root(as);
	}
	number = scry_watchpoint_add(g->vm, &w);
	if (number < 0)
		return number;
	p->number = number;
	p->armed = true;
	return 0;
}

/* All of it or nothing. */
static int arm_watch(struct gdb *g, struct point *p)
{
	int ret = suits_register(g, p) ? arm_register(g, p) : SCRY_E_NOMEM;

	if (ret >= 0 || !scry_cap(g->vm, SCRY_CAP_VIEWS, NULL))
		return ret;
	p->armed = true;
	ret = watch(g, p);
	if (ret >= 0)
		return 0;
	unwatch(g, p);
	p->armed = false;
	return ret;
}

static int arm(struct gdb *g, struct point *p)
{
	struct scry_breakpoint b = { .sz = sizeof(b), .address = p->address };

	if (is_watch(p))
		return arm_watch(g, p);
	if (g->task_as) {
		b.flags = SCRY_BREAKPOINT_CR3;
		b.cr3 = scry_as_root(g->task_as);
	}
	p->number = scry_breakpoint_add(g->vm, &b);
	if (p->number < 0)
		return p->number;
	p->armed = true;
	return 0;
}

static void disarm(struct gdb *g, struct point *p)
{
	if (is_watch(p) && p->number)
		scry_watchpoint_remove(g->vm, p->number);
	else if (is_watch(p))
		unwatch(g, p);
	else
		scry_breakpoint_remove(g->vm, p->number);
	*p = (struct point){ 0 };
}

int gdb_points_arm(struct gdb *g)
{
	for (int i = 0; i < GDB_POINTS; i++) {
		struct point *p = &g->point[i];

		if (p->used && !p->wanted && p->armed)
			disarm(g, p);
		else if (p->used && !p->wanted)
			*p = (struct point){ 0 };
	}
	for (int i = 0; i < GDB_POINTS; i++) {
		struct point *p = &g->point[i];
		int ret = p->used && p->wanted && !p->armed ? arm(g, p) : 0;

		if (ret < 0)
			return ret;
	}
	return 0;
}

const struct point *gdb_point_of_break(const struct gdb *g, const struct scry_event *e)
{
	for (int i = 0; i < GDB_POINTS; i++) {
		const struct point *p = &g->point[i];

		/* Several at one address are told of by the lowest number. */
		if (p->used && p->wanted && !is_watch(p) && p->address == e->rip)
			return p;
	}
	return NULL;
}

const struct point *gdb_point_of_watch(const struct gdb *g, const struct scry_event *e)
{
	for (int i = 0; i < GDB_POINTS; i++) {
		const struct point *p = &g->point[i];

		if (p->used && p->wanted && is_watch(p) && p->number == (int)e->watchpoint.number)
			return p;
	}
	return NULL;
}

const struct point *gdb_point_of_access(const struct gdb *g, const struct scry_event *e)
{
	uint64_t last = e->memory.gpa + (e->memory.size ? e->memory.size - 1 : PAGE - 1);

	for (int i = 0; i < GDB_POINTS; i++) {
		const struct point *p = &g->point[i];

		if (!p->used || !p->wanted || !is_watch(p) || !(e->memory.access & access_of(p)))
			continue;
		for (unsigned part = 0; part < p->parts; part++)
			if (p->part[part].first <= last && e->memory.gpa <= p->part[part].last)
				return p;
	}
	return NULL;
}
