/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_IMAGE_H
#define AGENT_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* QEMU's executable as it lies in memory. */

/* 0, or refuse() where it cannot be found or patched. */
int image_init(void);

/* Nothing is patched any more, until image_init() is called again. */
void image_leave(void);

/* Where its variables lie. */
const void *image_variables(size_t *size);

/* Does p lie in it at all; in its read-only data (relocated or not)? */
bool image_contains(const void *p);
bool image_constant(const void *p);

/* The nul-terminated string in its read-only data, or NULL. */
const char *image_string(const char *text);

/* The pointer-sized slot after `after` (NULL: the first) that holds value, in relocated read-only data. */
void *const *image_slot(const void *value, void *const *after);

/* Overwrite len bytes of its code or read-only data.  0 or -1. */
int image_patch(void *at, const void *bytes, size_t len);

/*
 * Put another function where QEMU's tables have this one, called so: in exactly
 * one place.  0, or refuse().
 */
int image_replace(const char *name, void *function, void *by);

#endif
