/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../../../protocol/bits.h"
#include "dump.h"

/* arch/x86/include/asm/page_64_types.h: where the kernel's image is mapped. */
#define KERNEL_MAP UINT64_C(0xffffffff80000000)

#define EFER_LONG_NX (EFER_LME | EFER_LMA | EFER_NXE)

/*
 * kdump keeps no control registers, but the kernel's own page tables, which map all
 * of its memory, can be found by what it tells of itself.
 */
void dump_use_vmcoreinfo(struct dump_vm *d)
{
	uint64_t top, phys_base = 0, la57 = 0;

	if (!d->vmcoreinfo ||
	    !dump_vmcoreinfo_number(d->vmcoreinfo, "SYMBOL(swapper_pg_dir)", 16, &top) ||
	    !dump_vmcoreinfo_number(d->vmcoreinfo, "NUMBER(phys_base)", 10, &phys_base))
		return;
	dump_vmcoreinfo_number(d->vmcoreinfo, "NUMBER(pgtable_l5_enabled)", 10, &la57);
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
