/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The kernel's types, for whoever asks. */
#include <stdlib.h>
#include <string.h>

#include "btftype.h"
#include "os.h"

static int need_btf(struct scry_linux *os)
{
	return os->btf ? 0 : os_need(os, OS_TASK_PID);
}

/* The number of the structure or union of that name. */
static int find_type(struct scry_linux *os, const char *name)
{
	int id, ret = need_btf(os);

	if (ret < 0)
		return ret;
	if (!strncmp(name, "struct ", 7))
		name += 7;
	else if (!strncmp(name, "union ", 6))
		name += 6;
	id = btf__find_by_name_kind(os->btf, name, BTF_KIND_STRUCT);
	if (id < 0)
		id = btf__find_by_name_kind(os->btf, name, BTF_KIND_UNION);
	if (id < 0)
		id = btf__find_by_name_kind(os->btf, name, BTF_KIND_TYPEDEF);
	if (id < 0)
		return scry_fail(SCRY_E_NOTFOUND, "the guest's kernel has no structure or union '%s'",
				 name);
	return id;
}

static void public_member(struct scry_linux *os, const struct os_member *m, const char *name,
			  uint32_t depth, struct scry_linux_member *to)
{
	*to = (struct scry_linux_member){
		.name = name,
		.type = os_btf_text(os->btf, m->type, os->type_text, sizeof(os->type_text)),
		.offset = m->offset, .size = m->size, .bit_offset = m->bit_offset, .bits = m->bits,
		.depth = (uint16_t)depth,
	};
}

int scry_linux_member(struct scry_linux *os, const char *type, const char *path,
		      struct scry_linux_member *member)
{
	const char *last = strrchr(path, '.');
	int id = find_type(os, type);
	uint32_t steps = OS_TYPE_STEPS;
	struct os_member m;

	if (id < 0)
		return id;
	if (!os_btf_find(os->btf, (uint32_t)id, path, &steps, &m))
		return scry_fail(SCRY_E_NOTFOUND, "'%s' of the guest's kernel has no member '%s'", type,
				 path);
	public_member(os, &m, last ? last + 1 : path, 0, member);
	return 0;
}

int64_t scry_linux_sizeof(struct scry_linux *os, const char *type)
{
	int id = find_type(os, type);

	return id < 0 ? id : (int64_t)os_btf_size(os->btf, (uint32_t)id);
}

struct visit {
	struct scry_linux *os;
	uint32_t *steps;
	scry_linux_member_fn fn;
	void *opaque;
};

static int visit_members(const struct visit *v, const struct btf_type *type, uint64_t base,
			 uint32_t depth)
{
	const struct btf *btf = v->os->btf;
	int ret = 0;

	if (!type || !btf_is_composite(type) || depth > OS_TYPE_DEPTH / 4)
		return 0;
	for (uint32_t i = 0; i < btf_vlen(type) && !ret && *v->steps; i++, --*v->steps) {
		const char *name = btf__name_by_offset(btf, btf_members(type)[i].name_off);
		struct scry_linux_member member;
		struct os_member m;

		os_btf_member(btf, type, i, base, &m);
		public_member(v->os, &m, name ? name : "", depth, &member);
		ret = v->fn(&member, v->opaque);
		if (!ret && !*member.name)
			ret = visit_members(v, os_btf_plain(btf, m.type),
					    base + btf_member_bit_offset(type, i), depth + 1);
	}
	return ret;
}

int scry_linux_members(struct scry_linux *os, const char *type, scry_linux_member_fn fn,
		       void *opaque)
{
	uint32_t steps = OS_TYPE_STEPS;
	struct visit v = { os, &steps, fn, opaque };
	int id = find_type(os, type);

	if (id < 0)
		return id;
	return visit_members(&v, os_btf_plain(os->btf, (uint32_t)id), 0, 0);
}
