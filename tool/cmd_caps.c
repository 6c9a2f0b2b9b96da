/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "common/command.h"
#include "common/output.h"
#include "common/target.h"

static const struct column columns[] = {
	{ "CAPABILITY", false }, { "", false }, { "WHAT IT IS", false }, { "NOTE", false },
};

static void print_table(struct scry_vm *vm)
{
	struct libscols_table *table = table_new(columns, 4, true);

	for (enum scry_cap cap = 0; cap < SCRY_CAP_COUNT; cap++) {
		const char *reason;
		int has = scry_cap(vm, cap, &reason);

		table_colour(table_row(table, scry_cap_name(cap), has ? "yes" : "no",
				       scry_cap_text(cap), reason), 1, has ? GREEN : RED);
	}
	table_print(table);
}

static void print_json(struct scry_vm *vm)
{
	struct json_object *all = checked(json_object_new_object());

	for (enum scry_cap cap = 0; cap < SCRY_CAP_COUNT; cap++) {
		struct json_object *one = checked(json_object_new_object());
		const char *reason;
		int has = scry_cap(vm, cap, &reason);

		json_add(one, "supported", json_object_new_boolean(has));
		json_add_string(one, "what", scry_cap_text(cap));
		json_add_string(one, has ? "note" : "reason", reason);
		json_add(all, scry_cap_name(cap), one);
	}
	json_print(all);
}

static int show(struct scry_vm *vm, bool json)
{
	if (json)
		print_json(vm);
	else
		print_table(vm);
	return 0;
}

static int caps(struct args *args)
{
	return with_vm(args, show);
}

const struct command cmd_caps = {
	.name = "caps",
	.summary = "what can be done to a VM, and why the rest cannot",
	.usage = "[--json] VM",
	.about = "Lists every capability: yes, maybe with a note, or no with the reason.",
	.opts = (const struct opt[]){ OPT_JSON, { 0 } },
	.example = "scry caps web",
	.run = caps,
};
