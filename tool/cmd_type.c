/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/guest.h"

#define DEPTH_SHOWN 8

static void add_row(struct libscols_table *table, const struct scry_linux_member *m,
		    const char *type, const char *name)
{
	char offset[16], size[32], text[512];
	int indent = 2 * (m->depth < DEPTH_SHOWN ? m->depth : DEPTH_SHOWN);

	snprintf(offset, sizeof(offset), "0x%" PRIx32, m->offset);
	if (m->bits)
		snprintf(size, sizeof(size), "bits %u-%u", m->bit_offset,
			 m->bit_offset + m->bits - 1u);
	else
		snprintf(size, sizeof(size), "%" PRIu32, m->size);
	snprintf(text, sizeof(text), "%*s%s", indent, "", name);
	table_row(table, offset, size, text, type);
}

static void add_json(struct json_object *array, const struct scry_linux_member *m,
		     const char *type, const char *name)
{
	struct json_object *o = checked(json_object_new_object());

	json_add_string(o, "name", name);
	json_add_string(o, "type", type);
	json_add_number(o, "offset", m->offset);
	json_add_number(o, "size", m->size);
	if (m->bits) {
		json_add_number(o, "bit_offset", m->bit_offset);
		json_add_number(o, "bits", m->bits);
	}
	json_add_number(o, "depth", m->depth);
	json_object_array_add(array, o);
}

static int on_member(const struct scry_linux_member *member, void *opaque)
{
	char *type = clean(member->type, strlen(member->type));
	char *name = clean(member->name, strlen(member->name));
	struct listing *list = opaque;

	if (list->table)
		add_row(list->table, member, type, name);
	else
		add_json(list->array, member, type, name);
	free(name);
	free(type);
	return 0;
}

static int show(struct guest *guest, const char *type, const char *path, bool json)
{
	static const struct column columns[] = {
		{ "OFFSET", true }, { "SIZE", true }, { "MEMBER", false }, { "TYPE", false },
	};
	struct scry_linux_member member;
	struct listing list;
	int ret;

	guest_release(guest);
	listing_begin(&list, json, columns, 4);
	if (path) {
		ret = scry_linux_member(guest->os, type, path, &member);
		if (!ret)
			on_member(&member, &list);
	} else {
		ret = scry_linux_members(guest->os, type, on_member, &list);
	}
	return listing_end(&list, ret, NULL);
}

static int run(struct args *args)
{
	const char *uri, *type, *path;
	struct guest guest;
	bool json = false;
	int ret;

	while (next_option(args) >= 0)
		json = true;
	uri = next_word(args, "VM");
	type = next_word(args, "TYPE");
	path = next_word_or_null(args);
	no_more_words(args);
	if (guest_open(&guest, uri))
		return EXIT_FAILURE;
	ret = show(&guest, type, path, json);
	guest_close(&guest);
	return ret;
}

const struct command cmd_type = {
	.name = "type",
	.summary = "layout of a kernel structure of a Linux guest",
	.usage = "[--json] VM TYPE [MEMBER]",
	.about = "Shows the members of a structure or union of a Linux guest's kernel, or one of them\n"
		 "(a.b.c), with their offsets: as the kernel's BTF in guest memory has it.",
	.opts = (const struct opt[]){ OPT_JSON, { 0 } },
	.example = "scry type web task_struct\n"
		   "scry type web mm_struct pgd",
	.run = run,
};
