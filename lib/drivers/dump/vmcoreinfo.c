/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "../../../protocol/bits.h"
#include "dump.h"

/* arch/x86/include/asm/page_64_types.h: where the kernel's image is mapped. */
#define KERNEL_MAP UINT64_C(0xffffffff80000000)

#define EFER_LONG_NX (EFER_LME | EFER_LMA | EFER_NXE)

/* The number behind "NAME=" at the beginning of a line. */
static bool find(const char *text, const char *name, int base, uint64_t *value)
{
	size_t len = strlen(name);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, len) || line[len] != '=')
			continue;
		*value = strtoull(line + len + 1, NULL, base);
		return true;
	}
	return false;
}

/*
 * kdump keeps no control registers, but the kernel's own page tables, which map all
 * of its memory, can be found by what it tells of itself.
 */
void dump_use_vmcoreinfo(struct dump_vm *d)
{
	uint64_t top, phys_base = 0, la57 = 0;

	if (!d->vmcoreinfo || !find(d->vmcoreinfo, "SYMBOL(swapper_pg_dir)", 16, &top) ||
	    !find(d->vmcoreinfo, "NUMBER(phys_base)", 10, &phys_base))
		return;
	find(d->vmcoreinfo, "NUMBER(pgtable_l5_enabled)", 10, &la57);
	for (unsigned i = 0; i < d->cpus; i++) {
		struct scry_regs *r = &d->cpu[i].regs;

		if (d->cpu[i].has_system)
			continue;
		r->cr0 = CR0_PG | CR0_PE;
		r->cr3 = (top - KERNEL_MAP + phys_base) & ~UINT64_C(0xfff);
		r->cr4 = CR4_PAE | (la57 ? CR4_LA57 : 0);
		r->efer = EFER_LONG_NX;
	}
}
