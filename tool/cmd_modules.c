/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>

#include "common/guest.h"
#include "common/parse.h"

static const char *state_name(char state)
{
	return state == 'L' ? "live" : state == 'C' ? "coming" : state == 'G' ? "going" : "unformed";
}

static void add_row(struct libscols_table *table, const struct scry_linux_module *module,
		    const char *name)
{
	char base[24], size[24], users[16];

	snprintf(base, sizeof(base), "%016" PRIx64, module->base);
	snprintf(users, sizeof(users), "%d", module->users);
	table_row(table, name, base, format_size(size, sizeof(size), module->size), users,
		  state_name(module->state));
}

static void add_json(struct json_object *array, const struct scry_linux_module *module,
		     const char *name)
{
	struct json_object *o = checked(json_object_new_object());

	json_add_string(o, "name", name);
	json_add_hex(o, "base", module->base);
	json_add_number(o, "size", module->size);
	json_add(o, "users", checked(json_object_new_int(module->users)));
	json_add_string(o, "state", state_name(module->state));
	json_object_array_add(array, o);
}

static int on_module(const struct scry_linux_module *module, void *opaque)
{
	char *name = clean(module->name, sizeof(module->name));
	struct listing *list = opaque;

	if (list->table)
		add_row(list->table, module, name);
	else
		add_json(list->array, module, name);
	free(name);
	return 0;
}

static int show(struct guest *guest, bool json)
{
	static const struct column columns[] = {
		{ "NAME", false }, { "BASE", false }, { "SIZE", true }, { "USERS", true },
		{ "STATE", false },
	};
	struct listing list;
	int ret;

	listing_begin(&list, json, columns, 5);
	ret = scry_linux_modules(guest->os, on_module, &list);
	guest_release(guest);
	return listing_end(&list, ret, "no module is loaded");
}

static int run(struct args *args)
{
	return with_guest(args, show);
}

const struct command cmd_modules = {
	.name = "modules",
	.summary = "kernel modules of a Linux guest",
	.usage = "[--json] VM",
	.about = "Lists the modules that a Linux guest's kernel has loaded, the newest first: where\n"
		 "their code lies, the size of all their parts, and who uses them.",
	.opts = (const struct opt[]){ OPT_JSON, { 0 } },
	.example = "scry modules web",
	.run = run,
};
