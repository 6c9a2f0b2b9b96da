/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "helpers.h"
#include "image.h"

/* An entry of TCG's table, as QEMU 7.2 has it. */
struct entry {
	void *function;
	const char *name;
	uint32_t flags;
	uint32_t types;
};

#define CALL_NO_REGISTERS 7u	/* flags: reads no globals, writes none, no side effects */

static struct {
	const struct entry *first;
	int count;
} table;

static bool plausible(const struct entry *e)
{
	return image_constant(e) && e->function && e->name && image_constant(e->name) &&
	       e->flags < 32 && e->types;
}

/*
 * The table has no symbol: find one helper's name, the slot that points at it,
 * and grow both ways.
 */
static void table_find(void)
{
	const char *name = image_string("write_crN");
	void *const *slot = NULL;
	const struct entry *e;

	while (name && (slot = image_slot(name, slot))) {
		e = (const struct entry *)((const char *)slot - offsetof(struct entry, name));
		if (!plausible(e))
			continue;
		while (plausible(e - 1))
			e--;
		table.first = e;
		while (plausible(&e[table.count]))
			table.count++;
		return;
	}
}

static const struct entry *table_entry(const char *name)
{
	if (!table.first)
		table_find();
	for (int i = 0; i < table.count; i++)
		if (strcmp(table.first[i].name, name) == 0)
			return &table.first[i];
	return NULL;
}

void *helper_find(const char *name)
{
	const struct entry *e;
	char symbol[64];
	void *function;

	snprintf(symbol, sizeof(symbol), "helper_%s", name);
	function = dlsym(RTLD_DEFAULT, symbol);
	if (function)
		return function;
	e = table_entry(name);
	return e ? e->function : NULL;
}

int helper_callbacks_use_registers(void)
{
	const struct entry *e = table_entry("plugin_vcpu_udata_cb");
	uint32_t flags;

	if (!e)
		return -1;
	flags = e->flags & ~CALL_NO_REGISTERS;
	return image_patch((void *)&e->flags, &flags, sizeof(flags));
}
