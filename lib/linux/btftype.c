/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <string.h>

#include "btftype.h"

const char *os_btf_name(const struct btf *btf, const struct btf_type *type)
{
	const char *name = btf__name_by_offset(btf, type->name_off);

	return name ? name : "";
}

static bool is_wrapper(const struct btf_type *type)
{
	return btf_is_typedef(type) || btf_is_mod(type) || btf_is_type_tag(type);
}

const struct btf_type *os_btf_plain(const struct btf *btf, uint32_t id)
{
	const struct btf_type *type = btf__type_by_id(btf, id);

	for (int i = 0; type && is_wrapper(type); i++) {
		if (i == OS_TYPE_DEPTH)
			return NULL;
		type = btf__type_by_id(btf, type->type);
	}
	return type;
}

uint32_t os_btf_size(const struct btf *btf, uint32_t id)
{
	uint64_t count = 1;

	for (int i = 0; i < OS_TYPE_DEPTH; i++) {
		const struct btf_type *type = os_btf_plain(btf, id);

		if (!type)
			return 0;
		if (btf_is_ptr(type))
			count *= 8;
		else if (btf_is_composite(type) || btf_is_int(type) || btf_is_any_enum(type) ||
			 btf_is_float(type))
			count *= type->size;
		else if (!btf_is_array(type))
			return 0;
		if (!btf_is_array(type))
			return count > UINT32_MAX ? 0 : (uint32_t)count;
		count *= btf_array(type)->nelems;
		if (count > UINT32_MAX)
			return 0;
		id = btf_array(type)->type;
	}
	return 0;
}

/* "struct list_head" and so on, for what is neither a pointer nor an array. */
static void base_text(const struct btf *btf, const struct btf_type *type, char *buf, size_t size)
{
	const char *kind = "", *name = os_btf_name(btf, type);

	if (btf_is_struct(type) || (btf_is_fwd(type) && !btf_kflag(type)))
		kind = "struct ";
	else if (btf_is_union(type) || btf_is_fwd(type))
		kind = "union ";
	else if (btf_is_any_enum(type))
		kind = "enum ";
	snprintf(buf, size, "%s%s", kind, *name ? name : *kind ? "{...}" : "?");
}

/* What stands behind the base type: stars, and [n] of arrays in the order of C. */
struct suffix {
	char stars[OS_TYPE_DEPTH + 1];
	char arrays[64];
	bool is_function;
};

const char *os_btf_text(const struct btf *btf, uint32_t id, char *buf, size_t size)
{
	const struct btf_type *type = btf__type_by_id(btf, id);
	struct suffix s = { .arrays = "" };
	size_t stars = 0, used;

	for (int i = 0; type && i < OS_TYPE_DEPTH; i++) {
		if (btf_is_ptr(type)) {
			s.stars[stars++] = '*';
			id = type->type;
		} else if (btf_is_array(type)) {
			used = strlen(s.arrays);
			snprintf(s.arrays + used, sizeof(s.arrays) - used, "[%u]",
				 btf_array(type)->nelems);
			id = btf_array(type)->type;
		} else if (btf_is_mod(type) || btf_is_type_tag(type)) {
			id = type->type;
		} else {
			break;
		}
		type = id ? btf__type_by_id(btf, id) : NULL;
	}
	if (!type)
		snprintf(buf, size, "void");
	else if (btf_is_func_proto(type))
		snprintf(buf, size, "function");
	else
		base_text(btf, type, buf, size);
	used = strlen(buf);
	snprintf(buf + used, size - used, "%s%s%s", stars ? " " : "", s.stars, s.arrays);
	return buf;
}

void os_btf_member(const struct btf *btf, const struct btf_type *type, uint32_t i, uint64_t base,
		   struct os_member *to)
{
	const struct btf_member *m = &btf_members(type)[i];
	uint64_t bit = base + btf_member_bit_offset(type, i);
	uint32_t bits = btf_member_bitfield_size(type, i), unit;

	*to = (struct os_member){ .size = os_btf_size(btf, m->type), .type = m->type,
				  .offset = (uint32_t)(bit / 8), .type_size = type->size };
	if (!bits || !to->size || to->size > 8)
		return;
	/* The unit that holds it: as wide as its type, and aligned to that. */
	unit = (uint32_t)(bit / (to->size * 8));
	to->offset = unit * to->size;
	to->bit_offset = (uint8_t)(bit - (uint64_t)unit * to->size * 8);
	to->bits = (uint8_t)bits;
}

/* A search for a name; steps: what is left of those it may take, for the guest may nest at will. */
struct search {
	const struct btf *btf;
	const char *name;
	size_t len;
	uint32_t *steps;
};

/* The member of that name, also in anonymous structures and unions. */
static bool find_in(const struct search *s, const struct btf_type *type, uint64_t base, int depth,
		    struct os_member *to)
{
	if (!type || !btf_is_composite(type) || depth > OS_TYPE_DEPTH / 4)
		return false;
	for (uint32_t i = 0; i < btf_vlen(type) && *s->steps; i++, --*s->steps) {
		const struct btf_member *m = &btf_members(type)[i];
		const char *its = btf__name_by_offset(s->btf, m->name_off);

		if (!its)
			continue;
		if (*its && !strncmp(its, s->name, s->len) && !its[s->len]) {
			os_btf_member(s->btf, type, i, base, to);
			return true;
		}
		if (!*its && find_in(s, os_btf_plain(s->btf, m->type),
				     base + btf_member_bit_offset(type, i), depth + 1, to))
			return true;
	}
	return false;
}

bool os_btf_find(const struct btf *btf, uint32_t id, const char *path, uint32_t *steps,
		 struct os_member *to)
{
	uint64_t base = 0;

	for (;;) {
		struct search s = { btf, path, strcspn(path, "."), steps };

		if (!s.len || !find_in(&s, os_btf_plain(btf, id), base, 0, to))
			return false;
		if (!path[s.len])
			return true;
		path += s.len + 1;
		id = to->type;
		base = (uint64_t)to->offset * 8;
	}
}
