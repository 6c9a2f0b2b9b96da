/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>

#include "common/guest.h"

/* Processes that are deeper are shown as deep as this: each line is as long as it is deep. */
#define DEPTH_MOST 50

/* A process and its row; children follow once all are known. */
struct node {
	int32_t pid, ppid;
	struct node *parent, *child, *sibling;	/* the first child, the next sibling: by PID */
	struct node *queued;			/* to be placed next */
	bool placed;
	unsigned depth;
	char *command;
	struct libscols_line *line;
};

struct tree {
	struct guest *guest;
	struct node *nodes;
	size_t count;
};

static int on_task(const struct scry_linux_task *task, void *opaque)
{
	struct tree *all = opaque;

	all->nodes = checked(reallocarray(all->nodes, all->count + 1, sizeof(*all->nodes)));
	all->nodes[all->count++] = (struct node){
		.pid = task->tgid, .ppid = task->ppid, .command = task_command(all->guest, task),
	};
	return 0;
}

static struct libscols_table *new_table(void)
{
	static const struct column columns[] = { { "PID", true }, { "COMMAND", false } };
	struct libscols_table *table = table_new(columns, 2, true);

	scols_column_set_flags(scols_table_get_column(table, 1), SCOLS_FL_TREE);
	return table;
}

static void add(struct libscols_table *table, struct node *node)
{
	struct node *parent = node->parent;
	bool deep = parent && parent->depth == DEPTH_MOST;
	struct libscols_line *under = !parent ? NULL :
				      deep ? scols_line_get_parent(parent->line) : parent->line;
	char pid[16];

	node->depth = deep ? DEPTH_MOST : under ? parent->depth + 1 : 0;
	snprintf(pid, sizeof(pid), "%d", node->pid);
	node->line = checked(scols_table_new_line(table, under));
	if (scols_line_set_data(node->line, 0, pid) ||
	    scols_line_set_data(node->line, 1, node->command))
		die_nomem();
}

static int by_pid(const void *a, const void *b)
{
	const struct node *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

static struct node *find(const struct tree *all, int32_t pid)
{
	struct node key = { .pid = pid };

	return all->count ? bsearch(&key, all->nodes, all->count, sizeof(key), by_pid) : NULL;
}

static void find_children(struct tree *all)
{
	for (size_t i = all->count; i-- > 0;) {
		struct node *node = &all->nodes[i], *parent = find(all, node->ppid);

		node->parent = parent;
		if (!parent)
			continue;
		node->sibling = parent->child;
		parent->child = node;
	}
}

/* This one, and all that come from it, those nearest first. */
static void place_from(struct libscols_table *table, struct node *first)
{
	struct node *last = first;

	first->placed = true;
	for (; first; first = first->queued) {
		add(table, first);
		for (struct node *child = first->child; child; child = child->sibling) {
			if (child->placed)
				continue;
			child->placed = true;
			last->queued = child;
			last = child;
		}
	}
}

/* What is in a loop comes from none that has no parent: the first of it takes that place. */
static void place(struct tree *all, struct libscols_table *table)
{
	find_children(all);
	for (size_t i = 0; i < all->count; i++)
		if (!all->nodes[i].parent)
			place_from(table, &all->nodes[i]);
	for (size_t i = 0; i < all->count; i++)
		if (!all->nodes[i].placed)
			place_from(table, &all->nodes[i]);
}

static void print_json(const struct tree *all)
{
	struct json_object *array = checked(json_object_new_array());

	for (size_t i = 0; i < all->count; i++) {
		struct json_object *o = checked(json_object_new_object());

		json_add_number(o, "pid", (uint64_t)all->nodes[i].pid);
		json_add_number(o, "ppid", (uint64_t)all->nodes[i].ppid);
		json_add_string(o, "command", all->nodes[i].command);
		json_object_array_add(array, o);
	}
	json_print(array);
}

static int show(struct tree *all, bool json)
{
	struct libscols_table *table;

	if (scry_linux_tasks(all->guest->os, 0, on_task, all) < 0)
		return fail_lib();
	guest_release(all->guest);
	if (all->count)
		qsort(all->nodes, all->count, sizeof(*all->nodes), by_pid);
	if (json) {
		print_json(all);
		return 0;
	}
	table = new_table();
	place(all, table);
	table_print(table);
	return 0;
}

static int tree(struct guest *guest, bool json)
{
	struct tree all = { .guest = guest };
	int ret = show(&all, json);

	for (size_t i = 0; i < all.count; i++)
		free(all.nodes[i].command);
	free(all.nodes);
	return ret;
}

static int run(struct args *args)
{
	return with_guest(args, tree);
}

const struct command cmd_tree = {
	.name = "tree",
	.summary = "processes of a Linux guest as a tree",
	.usage = "[--json] VM",
	.about = "Shows which process of a Linux guest began which.",
	.opts = (const struct opt[]){ OPT_JSON, { 0 } },
	.example = "scry tree web",
	.run = run,
};
