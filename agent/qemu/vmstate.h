/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_VMSTATE_H
#define AGENT_VMSTATE_H

#include <stddef.h>

/*
 * QEMU describes its own structures, for migration: name, offset and size of
 * each field.  The agent reads those descriptions instead of knowing layouts.
 */
struct vmstate;

struct vmstate_field {
	size_t offset, size;
	const struct vmstate *nested;	/* description of a field that is a structure */
};

/* Look at a description and learn how this QEMU lays descriptions out.  0 or -1. */
int vmstate_init(const struct vmstate *description);

/* 0 or -1. */
int vmstate_find(const struct vmstate *description, const char *name,
		 struct vmstate_field *field);

#endif
