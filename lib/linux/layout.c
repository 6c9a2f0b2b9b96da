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

/* Where the BTF lies in physical memory. */
static bool find_bytes(struct scry_linux *os, uint64_t *gpa, uint32_t *size)
{
	uint64_t start, stop;

	if (!os_kallsyms_find(&os->symbols, "__start_BTF", &start) ||
	    !os_kallsyms_find(&os->symbols, "__stop_BTF", &stop) || stop <= start)
		return false;
	if (start - os->image.gva >= os->image.size || stop - start > BTF_MOST)
		return false;
	*size = (uint32_t)(stop - start);
	*gpa = os->image.gpa + (start - os->image.gva);
	return true;
}

/* libbpf parses a copy of its own: what is mapped need not be copied before. */
static int read_btf(struct scry_linux *os, uint64_t gpa, uint32_t size)
{
	void *mapped = scry_phys_ptr(os->vm, gpa, size), *copy;
	int ret;

	if (mapped) {
		os->btf = btf__new(mapped, size);
		return 0;
	}
	copy = malloc(size);
	if (!copy)
		return scry_fail(SCRY_E_NOMEM, "out of memory for the guest's BTF");
	ret = scry_read_phys(os->vm, gpa, copy, size);
	if (!ret)
		os->btf = btf__new(copy, size);
	free(copy);
	return ret;
}

/* Those members of a structure just met that are wanted. */
static void take_members(struct scry_linux *os, uint32_t id, const char *name, uint32_t *steps)
{
	for (int i = 0; i < OS_MEMBER_COUNT; i++)
		if (!os->member[i].type && !strcmp(wanted[i].type, name) &&
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

/* Symbols are there without it; what needs the layout says that it is missing. */
int os_layout_read(struct scry_linux *os)
{
	uint32_t size;
	uint64_t gpa;
	int ret;

	if (!find_bytes(os, &gpa, &size))
		return 0;
	ret = read_btf(os, gpa, size);
	if (os->btf)
		find_members(os);
	return ret;
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
