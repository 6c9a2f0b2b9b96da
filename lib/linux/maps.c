/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A task's memory: its mappings, which the kernel keeps in a maple tree; its strings. */
#include <string.h>

#include "os.h"

#define PAGE          UINT64_C(4096)
#define NODE_MASK     UINT64_C(255)
#define NODE_TYPE(x)  ((x) >> 3 & 15)
#define IS_NODE(x)    (((x) & 3) == 2 && (x) > 4096)	/* of the root */
#define DEPTH_MOST    31				/* MAPLE_HEIGHT_MAX */
#define NODES_MOST    (1u << 20)
#define MAPS_MOST     (1u << 22)
#define SLOTS_MOST    16u
#define NAME_MOST     SCRY_LINUX_PATH
#define VM_SHARED     8u

enum { LEAF_64 = 1, RANGE_64, ARANGE_64 };	/* enum maple_type */

struct walk {
	struct scry_linux *os;
	const struct scry_linux_task *task;
	scry_linux_map_fn fn;
	void *opaque;
	uint32_t nodes, maps;		/* that may still come */
	uint32_t steps;			/* of paths, as well */
	uint64_t brk, start_brk, start_stack;
	char name[NAME_MOST];
};

/* The name of a special mapping, as [vdso], if it is one. */
static int special_name(struct walk *w, uint64_t vma)
{
	uint64_t ops, special, private, at;
	int ret = os_get(w->os, vma, OS_VMA_OPS, &ops);

	if (!ret)
		ret = os_symbol(w->os, "special_mapping_vmops", &special);
	if (ret < 0 || ops != special)
		return ret;
	ret = os_get(w->os, vma, OS_VMA_PRIVATE, &private);
	if (!ret)
		ret = os_u64(w->os, private, &at);	/* its first member */
	return ret < 0 ? ret : os_string(w->os, at, w->name, sizeof(w->name));
}

static int name_of(struct walk *w, uint64_t vma, const struct scry_linux_map *map)
{
	int ret = special_name(w, vma);

	if (ret < 0 || w->name[0])
		return ret;
	if (map->start <= w->brk && map->end >= w->start_brk)
		strcpy(w->name, "[heap]");
	else if (map->start <= w->start_stack && map->end >= w->start_stack)
		strcpy(w->name, "[stack]");
	return 0;
}

static int take_file(struct walk *w, uint64_t file, struct scry_linux_map *map)
{
	uint64_t inode, sb, dev;
	int ret = os_get(w->os, file, OS_FILE_INODE, &inode);

	if (!ret)
		ret = os_get(w->os, inode, OS_INODE_NUMBER, &map->inode);
	if (!ret)
		ret = os_get(w->os, inode, OS_INODE_SB, &sb);
	if (!ret)
		ret = os_get(w->os, sb, OS_SB_DEV, &dev);
	if (ret < 0)
		return ret;
	map->major = (uint32_t)dev >> 20;
	map->minor = (uint32_t)dev & 0xfffff;
	return os_file_path(w->os, file, w->name, sizeof(w->name), &w->steps);
}

static int visit_vma(struct walk *w, uint64_t vma)
{
	struct scry_linux_map map = { .name = w->name };
	uint64_t flags, page, file;
	int ret = os_get(w->os, vma, OS_VMA_START, &map.start);

	w->name[0] = 0;
	if (!ret && !w->maps--)
		return os_damaged("a tree of mappings", vma);
	if (!ret)
		ret = os_get(w->os, vma, OS_VMA_END, &map.end);
	if (!ret)
		ret = os_get(w->os, vma, OS_VMA_FLAGS, &flags);
	if (!ret)
		ret = os_get(w->os, vma, OS_VMA_PGOFF, &page);
	if (!ret)
		ret = os_get(w->os, vma, OS_VMA_FILE, &file);
	if (!ret)
		ret = file ? take_file(w, file, &map) : name_of(w, vma, &map);
	if (ret < 0)
		return ret;
	map.flags = flags & 15;			/* read, write, execute, shared: the kernel's */
	map.offset = file ? page * PAGE : 0;	/* the same bits */
	return w->fn(&map, w->opaque);
}

/* One node's pivots (the last index of each slot) and slots. */
struct node {
	uint64_t pivot[SLOTS_MOST], slot[SLOTS_MOST];
	uint32_t pivots, slots;
};

static int read_array(struct scry_linux *os, uint64_t base, enum os_member_id id, uint64_t *to,
		      uint32_t *count)
{
	int ret = os_need(os, id);

	if (ret < 0)
		return ret;
	*count = os->member[id].size / 8;
	if (*count > SLOTS_MOST)
		*count = SLOTS_MOST;
	return os_read(os, os_at(os, base, id), to, *count * 8);
}

static int read_node(struct walk *w, uint64_t entry, struct node *n)
{
	uint64_t base = entry & ~NODE_MASK, type = NODE_TYPE(entry);
	bool allocates = type == ARANGE_64;
	int ret;

	if (type < LEAF_64 || type > ARANGE_64 || !w->nodes--)
		return os_damaged("a tree of mappings", base);
	ret = read_array(w->os, base, allocates ? OS_ARANGE_PIVOT : OS_RANGE_PIVOT, n->pivot,
			 &n->pivots);
	if (!ret)
		ret = read_array(w->os, base, allocates ? OS_ARANGE_SLOT : OS_RANGE_SLOT, n->slot,
				 &n->slots);
	return ret;
}

/* What a slot has: a node, a mapping, nothing, or a small number that means nothing to us. */
static int visit_slots(struct walk *w, uint64_t entry, uint64_t min, uint64_t max, int depth)
{
	bool leaf = NODE_TYPE(entry) == LEAF_64;
	struct node n;
	int ret = read_node(w, entry, &n);

	if (!ret && depth > DEPTH_MOST)
		ret = os_damaged("a tree of mappings", entry);
	for (uint32_t i = 0; i < n.slots && !ret; i++) {
		uint64_t last = i < n.pivots && (n.pivot[i] || !i) ? n.pivot[i] : max;

		if (last < min || last > max)
			return os_damaged("a tree of mappings", entry);
		if (n.slot[i] > 4096)
			ret = leaf ? visit_vma(w, n.slot[i]) :
				     visit_slots(w, n.slot[i], min, last, depth + 1);
		if (last == max)
			break;
		min = last + 1;
	}
	return ret;
}

int scry_linux_maps(struct scry_linux *os, const struct scry_linux_task *task,
		    scry_linux_map_fn fn, void *opaque)
{
	struct walk w = { .os = os, .task = task, .fn = fn, .opaque = opaque,
			  .nodes = NODES_MOST, .maps = MAPS_MOST, .steps = OS_PATH_STEPS };
	uint64_t root;
	int ret;

	if (!task->mm)
		return 0;
	ret = os_need(os, OS_MM_TREE);
	if (!ret)
		ret = os_get(os, task->mm, OS_MM_BRK, &w.brk);
	if (!ret)
		ret = os_get(os, task->mm, OS_MM_START_BRK, &w.start_brk);
	if (!ret)
		ret = os_get(os, task->mm, OS_MM_START_STACK, &w.start_stack);
	if (!ret)
		ret = os_get(os, os_at(os, task->mm, OS_MM_TREE), OS_TREE_ROOT, &root);
	if (ret < 0 || !root)
		return ret;
	return IS_NODE(root) ? visit_slots(&w, root, 0, UINT64_MAX, 0) : visit_vma(&w, root);
}

/* The bytes of the process from one member of its mm_struct to another. */
static int64_t read_strings(struct scry_linux *os, const struct scry_linux_task *task,
			    enum os_member_id first, enum os_member_id last, char *buf, size_t size)
{
	uint64_t start, end;
	struct scry_as *as;
	int ret;

	if (!task->mm)
		return 0;
	ret = os_get(os, task->mm, first, &start);
	if (!ret)
		ret = os_get(os, task->mm, last, &end);
	if (ret < 0)
		return ret;
	if (end < start || end - start > INT32_MAX)
		return os_damaged("a process's memory", task->mm);
	ret = scry_linux_task_as(os, task, &as);
	if (ret < 0)
		return ret;
	ret = scry_read_virt(as, start, buf, size < end - start ? size : end - start);
	scry_as_free(as);
	return ret < 0 ? ret : (int64_t)(end - start);
}

int64_t scry_linux_cmdline(struct scry_linux *os, const struct scry_linux_task *task, char *buf,
			   size_t size)
{
	return read_strings(os, task, OS_MM_ARG_START, OS_MM_ARG_END, buf, size);
}

int64_t scry_linux_environ(struct scry_linux *os, const struct scry_linux_task *task, char *buf,
			   size_t size)
{
	return read_strings(os, task, OS_MM_ENV_START, OS_MM_ENV_END, buf, size);
}

int scry_linux_exe(struct scry_linux *os, const struct scry_linux_task *task, char *path,
		   size_t size)
{
	uint32_t steps = OS_PATH_STEPS;
	uint64_t file = 0;
	int ret = task->mm ? os_get(os, task->mm, OS_MM_EXE, &file) : 0;

	if (size)
		path[0] = 0;
	return ret < 0 || !file ? ret : os_file_path(os, file, path, size, &steps);
}
