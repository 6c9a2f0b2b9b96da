/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>

#include "common/guest.h"

static void permissions(char to[5], uint64_t flags)
{
	to[0] = flags & SCRY_LINUX_MAP_READ ? 'r' : '-';
	to[1] = flags & SCRY_LINUX_MAP_WRITE ? 'w' : '-';
	to[2] = flags & SCRY_LINUX_MAP_EXEC ? 'x' : '-';
	to[3] = flags & SCRY_LINUX_MAP_SHARED ? 's' : 'p';
	to[4] = 0;
}

static void add_row(struct libscols_table *table, const struct scry_linux_map *map,
		    const char *name)
{
	char range[40], mode[5], offset[24], device[24], inode[24];

	snprintf(range, sizeof(range), "%012" PRIx64 "-%012" PRIx64, map->start, map->end);
	permissions(mode, map->flags);
	snprintf(offset, sizeof(offset), "%08" PRIx64, map->offset);
	snprintf(device, sizeof(device), "%02x:%02x", map->major, map->minor);
	snprintf(inode, sizeof(inode), "%" PRIu64, map->inode);
	table_row(table, range, mode, offset, device, inode, name);
}

static void add_json(struct json_object *array, const struct scry_linux_map *map, const char *name)
{
	struct json_object *o = checked(json_object_new_object());
	char mode[5];

	permissions(mode, map->flags);
	json_add_hex(o, "start", map->start);
	json_add_hex(o, "end", map->end);
	json_add_string(o, "mode", mode);
	json_add_number(o, "offset", map->offset);
	json_add_number(o, "major", map->major);
	json_add_number(o, "minor", map->minor);
	json_add_number(o, "inode", map->inode);
	json_add_string(o, "name", name);
	json_object_array_add(array, o);
}

static int on_map(const struct scry_linux_map *map, void *opaque)
{
	char *name = clean(map->name, SCRY_LINUX_PATH);
	struct listing *list = opaque;

	if (list->table)
		add_row(list->table, map, name);
	else
		add_json(list->array, map, name);
	free(name);
	return 0;
}

static int show(struct guest *guest, int32_t pid, bool json)
{
	static const struct column columns[] = {
		{ "ADDRESSES", false }, { "MODE", false }, { "OFFSET", true }, { "DEV", true },
		{ "INODE", true }, { "NAME", false },
	};
	struct scry_linux_task task;
	struct listing list;
	int ret;

	if (guest_task(guest, pid, &task))
		return EXIT_FAILURE;
	listing_begin(&list, json, columns, 6);
	ret = scry_linux_maps(guest->os, &task, on_map, &list);
	guest_release(guest);
	return listing_end(&list, ret, task.kernel ?
			   "it is a kernel thread, which maps nothing of its own" : "nothing is mapped");
}

static int run(struct args *args)
{
	struct guest guest;
	bool json = false;
	const char *uri;
	int32_t pid;
	int ret;

	while (next_option(args) >= 0)
		json = true;
	uri = next_word(args, "VM");
	pid = pid_arg(args, next_word(args, "PID"));
	no_more_words(args);
	if (guest_open(&guest, uri))
		return EXIT_FAILURE;
	ret = show(&guest, pid, json);
	guest_close(&guest);
	return ret;
}

const struct command cmd_maps = {
	.name = "maps",
	.summary = "memory mappings of a process of a Linux guest",
	.usage = "[--json] VM PID",
	.about = "Lists what a process of a Linux guest has mapped, as its /proc/PID/maps would: read,\n"
		 "write, execute, shared or private; offset in the file, its device and inode.",
	.opts = (const struct opt[]){ OPT_JSON, { 0 } },
	.example = "scry maps web 1",
	.run = run,
};
