/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "memmap.h"
#include "message.h"
#include "output.h"
#include "parse.h"

int memmap_get(struct scry_vm *vm, struct memmap *map)
{
	int room = 0, count;

	*map = (struct memmap){ 0 };
	/* The map may grow between two calls. */
	while ((count = scry_memory_map(vm, map->regions, (size_t)room)) > room) {
		room = count;
		map->regions = checked(reallocarray(map->regions, (size_t)room,
						    sizeof(*map->regions)));
	}
	if (count < 0) {
		memmap_free(map);
		return count;
	}
	map->count = (size_t)count;
	return 0;
}

void memmap_free(struct memmap *map)
{
	free(map->regions);
	*map = (struct memmap){ 0 };
}

static const char *region_kind(const struct scry_region *region)
{
	if (region->flags & SCRY_REGION_DEVICE)
		return "device";
	return region->flags & SCRY_REGION_ROM ? "ROM" : "RAM";
}

static struct libscols_line *add_row(struct libscols_table *table, uint64_t gpa, uint64_t size,
				     const char *kind, const char *how)
{
	char first[24], last[24], text[32];

	snprintf(first, sizeof(first), "%016" PRIx64, gpa);
	snprintf(last, sizeof(last), "%016" PRIx64, gpa + size - 1);
	return table_row(table, first, last, format_size(text, sizeof(text), size), kind, how);
}

void memmap_print(const struct memmap *map, const char *indent)
{
	static const struct column columns[] = {
		{ "FIRST", false }, { "LAST", false }, { "SIZE", true }, { "KIND", false },
		{ "ACCESS", false },
	};
	struct libscols_table *table = table_new(columns, 5, true);
	uint64_t end = 0;

	for (size_t i = 0; i < map->count; i++) {
		const struct scry_region *r = &map->regions[i];

		if (r->gpa > end) {
			struct libscols_line *line = add_row(table, end, r->gpa - end, "hole", "");

			for (size_t column = 0; column < 4; column++)
				table_colour(line, column, DIM);
		}
		add_row(table, r->gpa, r->size, region_kind(r),
			r->flags & SCRY_REGION_MAPPED ? "mapped" : "");
		end = r->gpa + r->size;
	}
	table_print_indented(table, indent);
}

struct json_object *memmap_json(const struct memmap *map)
{
	struct json_object *array = checked(json_object_new_array());

	for (size_t i = 0; i < map->count; i++) {
		const struct scry_region *r = &map->regions[i];
		struct json_object *o = checked(json_object_new_object());

		json_add_hex(o, "gpa", r->gpa);
		json_add_number(o, "size", r->size);
		json_add_string(o, "kind", region_kind(r));
		json_add(o, "mapped", json_object_new_boolean(!!(r->flags & SCRY_REGION_MAPPED)));
		json_object_array_add(array, o);
	}
	return array;
}
