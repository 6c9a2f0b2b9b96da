/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The layout of the kernel's structures, from the BTF in its memory. */
#include <stdlib.h>
#include <string.h>

#include "btftype.h"
#include "os.h"

#define BTF_MOST (UINT64_C(64) << 20)

static const struct {
	const char *type, *path;
} wanted[OS_MEMBER_COUNT] = {
#define OS_MEMBER_WANTED(NAME, type, path) { type, path },
	OS_MEMBERS(OS_MEMBER_WANTED)
#undef OS_MEMBER_WANTED
};

/* The BTF's bytes, which are in the image; *data is then the caller's. */
static int read_bytes(struct scry_linux *os, void **data, uint32_t *size)
{
	uint64_t start, stop;

	if (!os_kallsyms_find(&os->symbols, "__start_BTF", &start) ||
	    !os_kallsyms_find(&os->symbols, "__stop_BTF", &stop) || stop <= start)
		return SCRY_E_NOTFOUND;
	if (start < os->image.gva || stop - start > BTF_MOST)
		return SCRY_E_NOTFOUND;
	*size = (uint32_t)(stop - start);
	*data = malloc(*size);
	if (!*data)
		return scry_fail(SCRY_E_NOMEM, "out of memory for the guest's BTF");
	return scry_read_phys(os->vm, os->image.gpa + (start - os->image.gva), *data, *size);
}

/* Those members of a structure just met that are wanted. */
static void take_members(struct scry_linux *os, uint32_t id, const char *name, uint32_t *steps)
{
	for (int i = 0; i < OS_MEMBER_COUNT; i++)
		if (!os->member[i].size && !strcmp(wanted[i].type, name) &&
		    !os_btf_find(os->btf, id, wanted[i].path, steps, &os->member[i]))
			os->member[i] = (struct os_member){ 0 };
}

/* Could a wanted structure be called so?  Most names end here. */
static void mark_names(bool marks[256][32])
{
	memset(marks, 0, 256 * 32 * sizeof(bool));
	for (int i = 0; i < OS_MEMBER_COUNT; i++)
		marks[(uint8_t)wanted[i].type[0]][strlen(wanted[i].type) % 32] = true;
}

static void find_members(struct scry_linux *os)
{
	uint32_t count = btf__type_cnt(os->btf), steps = OS_TYPE_STEPS;
	bool marks[256][32];

	mark_names(marks);
	for (uint32_t id = 1; id < count; id++) {
		const struct btf_type *type = btf__type_by_id(os->btf, id);
		const char *name;

		if (!btf_is_composite(type))
			continue;
		name = os_btf_name(os->btf, type);
		if (marks[(uint8_t)name[0]][strlen(name) % 32])
			take_members(os, id, name, &steps);
	}
}

int os_layout_read(struct scry_linux *os)
{
	void *data = NULL;
	uint32_t size;
	int ret = read_bytes(os, &data, &size);

	if (!ret) {
		os->btf = btf__new(data, size);
		if (os->btf)
			find_members(os);
	}
	free(data);
	/* Symbols are there without it; what needs the layout says that it is missing. */
	return ret == SCRY_E_NOTFOUND ? 0 : ret;
}

int os_need(struct scry_linux *os, enum os_member_id id)
{
	if (os_has(os, id))
		return 0;
	if (!os->btf)
		return scry_fail(SCRY_E_UNSUPPORTED, "layout unknown: the guest's kernel has no BTF "
				 "(CONFIG_DEBUG_INFO_BTF), or a damaged one");
	return scry_fail(SCRY_E_UNSUPPORTED, "layout unknown: struct %s of the guest's kernel has "
			 "no member %s", wanted[id].type, wanted[id].path);
}
