/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_MEMMAP_H
#define TOOL_MEMMAP_H

#include <json-c/json.h>
#include <scry/vm.h>
#include <stddef.h>

/* A VM's guest-physical memory map. */
struct memmap {
	struct scry_region *regions;
	size_t count;
};

int memmap_get(struct scry_vm *vm, struct memmap *map);	/* 0 or the library's code */
void memmap_free(struct memmap *map);

/* As a table, holes shown, each line behind indent. */
void memmap_print(const struct memmap *map, const char *indent);
struct json_object *memmap_json(const struct memmap *map);

#endif
