/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "common/command.h"
#include "common/output.h"
#include "common/parse.h"
#include "common/target.h"

static const struct column columns[] = {
	{ "NAME", false }, { "PID", true }, { "VCPUS", true }, { "RAM", true },
	{ "CLIENT", true }, { "HYPERVISOR", false },
};

static int add_row(const struct scry_vm_entry *entry, void *opaque)
{
	char pid[16], vcpus[16], ram[32], client[16];
	struct libscols_line *line;

	snprintf(pid, sizeof(pid), entry->pid ? "%d" : "-", entry->pid);
	snprintf(vcpus, sizeof(vcpus), entry->vcpus ? "%u" : "-", entry->vcpus);
	snprintf(client, sizeof(client), "%d", entry->client_pid);
	line = table_row(opaque, entry->name, pid, vcpus,
			 format_size(ram, sizeof(ram), entry->ram_bytes),
			 entry->client_pid ? client : "-", entry->hypervisor);
	table_colour(line, 0, BOLD);
	return 0;
}

static int add_json(const struct scry_vm_entry *entry, void *opaque)
{
	struct json_object *vm = checked(json_object_new_object());

	json_add_string(vm, "uri", entry->uri);
	json_add_string(vm, "name", entry->name);
	json_add_string(vm, "hypervisor", entry->hypervisor);
	json_add_number(vm, "pid", (uint64_t)entry->pid);
	json_add_number(vm, "vcpus", entry->vcpus);
	json_add_number(vm, "ram_bytes", entry->ram_bytes);
	json_add_number(vm, "client_pid", (uint64_t)entry->client_pid);
	json_object_array_add(opaque, vm);
	return 0;
}

static int list_json(void)
{
	struct json_object *array = checked(json_object_new_array());
	int ret = scry_list(add_json, array);

	/* What was found before something failed can be used. */
	json_print(array);
	return ret < 0 ? fail_lib() : 0;
}

static int list_table(void)
{
	struct libscols_table *table = table_new(columns, 6, true);
	int ret = scry_list(add_row, table);

	if (ret >= 0 && !scols_table_get_nlines(table))
		note("no VM with a scry agent runs for this user: start one with 'scry run'");
	table_print(table);
	return ret < 0 ? fail_lib() : 0;
}

static int list(struct args *args)
{
	bool json = false;

	while (next_option(args) >= 0)
		json = true;
	no_more_words(args);
	return json ? list_json() : list_table();
}

const struct command cmd_list = {
	.name = "list",
	.summary = "the VMs that can be looked into",
	.usage = "[--json]",
	.about = "Lists the running VMs of this user that have a scry agent and, for root in Xen's\n"
		 "dom0, its domains. CLIENT is the PID of the program that is attached now: a VM\n"
		 "takes one at a time.",
	.opts = (const struct opt[]){ OPT_JSON, { 0 } },
	.example = "scry list",
	.run = list,
};
