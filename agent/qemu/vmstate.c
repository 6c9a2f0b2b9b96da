/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdint.h>
#include <string.h>

#include "image.h"
#include "vmstate.h"

/* Where things are in VMStateDescription and in each VMStateField, by version of QEMU. */
struct layout {
	size_t fields;
	size_t stride, offset, size, nested;	/* name is at 0 */
};

static const struct layout layouts[] = {
	{ .fields = 72, .stride = 104, .offset = 16, .size = 24, .nested = 80 },	/* 7.2, 10.0 */
	{ .fields = 96, .stride = 96, .offset = 8, .size = 16, .nested = 72 },		/* 11.1 */
};

static const struct layout *layout;

static uintptr_t word(const void *at, size_t offset)
{
	uintptr_t value;

	memcpy(&value, (const char *)at + offset, sizeof(value));
	return value;
}

/* Is there a list of fields that ends with the nameless one? */
static int fits(const struct layout *l, const void *description)
{
	const void *field = (const void *)word(description, l->fields);

	for (int n = 0; n < 1000; n++) {
		const char *name;

		if (!image_contains(field) || word(field, 0) == 0)
			return n > 1 && image_contains(field);
		name = (const char *)word(field, 0);
		if (!image_constant(name) || !name[0] || word(field, l->offset) > 1 << 20)
			return 0;
		field = (const char *)field + l->stride;
	}
	return 0;
}

int vmstate_init(const struct vmstate *description)
{
	for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
		if (fits(&layouts[i], description)) {
			layout = &layouts[i];
			return 0;
		}
	}
	return -1;
}

int vmstate_find(const struct vmstate *description, const char *name,
		 struct vmstate_field *field)
{
	const char *at = (const char *)word(description, layout->fields);

	for (; word(at, 0); at += layout->stride) {
		if (strcmp((const char *)word(at, 0), name) != 0)
			continue;
		field->offset = word(at, layout->offset);
		field->size = word(at, layout->size);
		field->nested = (const struct vmstate *)word(at, layout->nested);
		return 0;
	}
	return -1;
}
