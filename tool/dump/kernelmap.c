/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "../../lib/drivers/dump/format.h"
#include "../common/memmap.h"
#include "dump.h"

/* Documentation/arch/x86/x86_64/mm.rst: where Linux may map what. */
#define IMAGE_FIRST   UINT64_C(0xffffffff80000000)
#define IMAGE_LAST    UINT64_C(0xffffffffbfffffff)
#define DIRECT_4LEVEL UINT64_C(0xffff888000000000)
#define DIRECT_5LEVEL UINT64_C(0xff11000000000000)
#define DIRECT_ALIGN  (UINT64_C(1) << 30)
#define DIRECT_SEARCH (UINT64_C(1) << 46)

/* Entries of tables that are passed at most: the guest waits, and may have made its tables so. */
#define STEPS_MOST 8192

/* The first mapped address from gva to last; what is not mapped is passed by the table. */
static bool next_mapped(struct scry_as *as, uint64_t gva, uint64_t last, struct scry_walk *w)
{
	for (int i = 0; gva <= last && i < STEPS_MOST; i++) {
		uint64_t size;

		if (scry_walk(as, gva, w) < 0)
			return false;
		if (w->fault == SCRY_WALK_OK)
			return true;
		if (!w->levels)
			return false;
		size = UINT64_C(1) << (12 + 9 * (w->step[w->levels - 1].level - 1));
		gva = (gva | (size - 1)) + 1;
		if (!gva)
			return false;
	}
	return false;
}

static bool continues(const struct dump_run *run, const struct scry_walk *w)
{
	return w->gva == run->gva + run->size && w->gpa == run->gpa + run->size;
}

/* The kernel's image, in as many runs as its pages make. */
static void find_image(struct scry_as *as, struct dump_linux *l)
{
	struct scry_walk w;

	for (uint64_t gva = IMAGE_FIRST; next_mapped(as, gva, IMAGE_LAST, &w);) {
		uint64_t size = w.page_size - (w.gva & (w.page_size - 1));
		struct dump_run *last = l->runs ? &l->run[l->runs - 1] : NULL;

		if (last && continues(last, &w))
			last->size += size;
		else if (l->runs == DUMP_RUNS)
			return;
		else
			l->run[l->runs++] = (struct dump_run){ w.gva, w.gpa, size };
		gva = w.gva + size;
	}
}

/* The map of all memory begins with frame 0, at a place that is random to 1 GiB. */
static void find_direct_map(struct scry_as *as, struct dump_linux *l)
{
	uint64_t first = scry_as_mode(as) == SCRY_PAGING_5LEVEL ? DIRECT_5LEVEL : DIRECT_4LEVEL;
	struct scry_walk w;

	if (next_mapped(as, first, first + DIRECT_SEARCH, &w) && w.gva >= w.gpa &&
	    !((w.gva - w.gpa) & (DIRECT_ALIGN - 1)))
		l->direct_map = w.gva - w.gpa;
}

void dump_find_kernel_map(struct scry_vm *vm, struct dump_linux *l)
{
	struct scry_as_opts opts = { .sz = sizeof(opts), .nxe = 1 };
	uint64_t top, phys_base, la57 = 0;
	struct scry_as *as;

	if (!dump_vmcoreinfo_number(l->vmcoreinfo, "SYMBOL(swapper_pg_dir)", 16, &top) ||
	    !dump_vmcoreinfo_number(l->vmcoreinfo, "NUMBER(phys_base)", 10, &phys_base))
		return;
	dump_vmcoreinfo_number(l->vmcoreinfo, "NUMBER(pgtable_l5_enabled)", 10, &la57);
	opts.mode = la57 ? SCRY_PAGING_5LEVEL : SCRY_PAGING_4LEVEL;
	if (scry_as_open(vm, top - IMAGE_FIRST + phys_base, &opts, &as) < 0)
		return;
	find_image(as, l);
	find_direct_map(as, l);
	scry_as_free(as);
}
