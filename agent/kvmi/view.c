/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/accel.h"
#include "agent/memory/memory_map.h"
#include "agent/memory/slat.h"
#include "agent/memory/view.h"
#include "options.h"
#include "serve.h"
#include "view.h"

/* By number of the wire; a view of the agent's each. */
static unsigned views[KVMI_V7_VIEWS];

void kvmi_view_init(void)
{
	const struct scry_agent_view make = { .op = SCRY_AGENT_VIEW_CREATE };
	const char *text;

	for (unsigned n = 1; n < KVMI_V7_VIEWS; n++) {
		int made = kvmi_options.generation == KVMI_V7 ? view_change(&make, 1, &text) : 0;

		views[n] = made > 0 ? (unsigned)made : 0;
	}
}

static bool has_memory(uint64_t gpa)
{
	const struct memory_map *map;
	bool has = false;

	bql_lock();
	map = memory_map();
	for (uint32_t i = 0; i < map->count; i++)
		has |= gpa >= map->region[i].gpa && gpa - map->region[i].gpa < map->region[i].size;
	qemu.bql_unlock();
	return has;
}

/* The wire says what is allowed, a view what is trapped. */
static int take_entry(const struct kvmi_request *r, unsigned n, struct scry_agent_view *protect)
{
	struct kvmi_page_access_entry entry;
	int status = kvmi_access_take(r->access.entries, n, &entry);

	if (status)
		return status;
	if ((kvmi_options.generation == KVMI_V12 && !has_memory(entry.gpa)) ||
	    entry.gpa >> 12 > SLAT_GFNS)
		return -KVMI_EINVAL;
	*protect = (struct scry_agent_view){ .op = SCRY_AGENT_VIEW_PROTECT,
					     .view = views[r->access.view],
					     .gfn = entry.gpa >> 12, .count = 1,
					     .argument = ~entry.access & SLAT_TRAPS };
	return 0;
}

int kvmi_view_access(const struct kvmi_request *r)
{
	struct scry_agent_view protect[KVMI_PAGE_ACCESS_MOST];
	unsigned count = 0;
	const char *text;
	int first = 0;

	if (r->access.view && !kvmi_view_can_enter())
		return -KVMI_EOPNOTSUPP;
	_Static_assert((int)SCRY_READ == KVMI_READ && (int)SCRY_WRITE == KVMI_WRITE &&
		       (int)SCRY_EXEC == KVMI_EXEC, "the same bits");
	for (unsigned n = 0; n < r->access.count; n++) {
		int status = take_entry(r, n, &protect[count]);

		if (!status)
			count++;
		else if (!first)
			first = status;
	}
	if (count && view_change(protect, count, &text) < 0 && !first)
		first = -KVMI_ENOMEM;
	return first;
}

bool kvmi_view_can_enter(void)
{
	return !accel->one_view || vcpu_count == 1;
}

int kvmi_view_enter(struct kvmi_state *state, unsigned view)
{
	if (view && !kvmi_view_can_enter())
		return -KVMI_EOPNOTSUPP;
	state->vcpu->over.on = false;
	state->vcpu->moves = true;
	return accel->view_enter(state->vcpu, views[view]) ? -KVMI_ENOMEM : 0;
}

static void change_gfn(struct kvmi_state *state)
{
	const struct scry_agent_view remap = { .op = SCRY_AGENT_VIEW_REMAP,
					       .view = state->vcpu->view,
					       .gfn = state->change_gfn.old_gfn,
					       .argument = state->change_gfn.new_gfn };
	const char *text;

	if (!has_memory(remap.gfn << 12) || !has_memory(remap.argument << 12))
		state->status = -KVMI_EINVAL;
	else
		state->status = view_change(&remap, 1, &text) < 0 ? -KVMI_ENOMEM : 0;
}

int kvmi_view_change_gfn(struct kvmi_state *state, const struct kvmi_v7_change_gfn *change)
{
	if (change->new_gfn == KVMI_UNMAPPED)
		return -KVMI_EPERM;
	if (change->old_gfn > SLAT_GFNS || change->new_gfn > SLAT_GFNS)
		return -KVMI_EINVAL;
	state->change_gfn = *change;
	return kvmi_have_done(state, change_gfn) ? state->status : -KVMI_EAGAIN;
}
