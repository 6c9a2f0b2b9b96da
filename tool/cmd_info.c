/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/command.h"
#include "common/memmap.h"
#include "common/output.h"
#include "common/parse.h"
#include "common/target.h"

static const char *access_text(const struct scry_info *info)
{
	if (!strcmp(info->driver, "file") && info->ram_access != SCRY_RAM_MAPPED)
		return "read from the file: it is compressed, or cannot be mapped";
	switch (info->ram_access) {
	case SCRY_RAM_MAPPED:
		return "mapped: a read is a load";
	case SCRY_RAM_PROCESS:
		return "process_vm_readv: QEMU's RAM is not shared";
	case SCRY_RAM_MESSAGES:
		return "messages to the agent: QEMU's RAM is not shared";
	}
	return "?";
}

static const char *access_word(enum scry_ram_access access)
{
	static const char *const words[] = { "mapped", "process", "messages" };

	return (unsigned)access < 3 ? words[access] : "?";
}

static void print_text(const struct scry_info *info, const struct memmap *map)
{
	static const struct column columns[] = { { "", false }, { "", false } };
	struct libscols_table *table = table_new(columns, 2, false);
	char text[96], size[32];

	table_row(table, "name", info->name);
	table_row(table, "driver", info->driver);
	table_row(table, "hypervisor", info->hypervisor);
	snprintf(text, sizeof(text), "%d", info->pid);
	table_row(table, "pid", info->pid ? text : "-");
	snprintf(text, sizeof(text), "%u", info->vcpus);
	table_row(table, "vCPUs", text);
	table_row(table, "RAM", format_size(size, sizeof(size), info->ram_bytes));
	table_row(table, "RAM access", access_text(info));
	snprintf(text, sizeof(text), "0x%" PRIx64, info->max_gfn);
	table_row(table, "highest gfn", text);
	table_print(table);
	printf("\n");
	memmap_print(map, "");
}

static void print_json(const struct scry_info *info, const struct memmap *map)
{
	struct json_object *o = checked(json_object_new_object());

	json_add_string(o, "name", info->name);
	json_add_string(o, "driver", info->driver);
	json_add_string(o, "hypervisor", info->hypervisor);
	json_add_number(o, "pid", (uint64_t)info->pid);
	json_add_number(o, "vcpus", info->vcpus);
	json_add_number(o, "ram_bytes", info->ram_bytes);
	json_add_string(o, "ram_access", access_word(info->ram_access));
	json_add_hex(o, "max_gfn", info->max_gfn);
	json_add(o, "memory_map", memmap_json(map));
	json_print(o);
}

static int show(struct scry_vm *vm, bool json)
{
	struct scry_info info = { .sz = sizeof(info) };
	struct memmap map;

	if (scry_info(vm, &info) < 0 || memmap_get(vm, &map) < 0)
		return fail_lib();
	if (json)
		print_json(&info, &map);
	else
		print_text(&info, &map);
	memmap_free(&map);
	return 0;
}

static int info(struct args *args)
{
	return with_vm(args, show);
}

const struct command cmd_info = {
	.name = "info",
	.summary = "a VM's hypervisor, vCPUs and memory map",
	.usage = "[--json] VM",
	.about = "Shows what a VM is, how its RAM is reached, and its guest-physical memory\n"
		 "map: RAM, ROM, and the holes between them, where nothing or a device is.",
	.opts = (const struct opt[]){ OPT_JSON, { 0 } },
	.example = "scry info web",
	.run = info,
};
