/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_LINUX_BTFTYPE_H
#define SCRY_LINUX_BTFTYPE_H

#include <bpf/btf.h>
#include <stdbool.h>

#include "layout.h"

/*
 * Types of the guest's BTF.  libbpf has checked that each record lies within the
 * bytes; that the numbers in them make sense is checked here: types may refer to each other in a loop.
 */
#define OS_TYPE_DEPTH 32

/* Without typedefs, const and their like; NULL if there is no end to them. */
const struct btf_type *os_btf_plain(const struct btf *btf, uint32_t id);

/* Its size in bytes; 0 if it has none. */
uint32_t os_btf_size(const struct btf *btf, uint32_t id);

/* Its name, never NULL. */
const char *os_btf_name(const struct btf *btf, const struct btf_type *type);

/* Its declaration without a name, as in C, put into buf. */
const char *os_btf_text(const struct btf *btf, uint32_t id, char *buf, size_t size);

/* One member of a structure or union, `base` bits from the outermost's beginning. */
void os_btf_member(const struct btf *btf, const struct btf_type *type, uint32_t i, uint64_t base,
		   struct os_member *to);

/*
 * The member path "a.b.c" of the structure or union `id`; false if there is none, or
 * not within *steps members looked at, which are counted down.
 */
#define OS_TYPE_STEPS (UINT32_C(1) << 22)
bool os_btf_find(const struct btf *btf, uint32_t id, const char *path, uint32_t *steps,
		 struct os_member *to);

#endif
