/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "access.h"
#include "agent/event/watchpoint.h"
#include "agent/qemu/detour.h"
#include "agent/qemu/image.h"
#include "agent/refuse.h"
#include "memory_event.h"
#include "pass.h"
#include "slat.h"
#include "substitute.h"
#include "watch.h"

/*
 * Every first access to a page comes to x86_cpu_tlb_fill(), which walks the page
 * tables (accesses of its own, which come to it, too) and puts what it found into
 * the TLB by tlb_set_page_with_attrs().  What a view does not trap stays in the
 * TLB; what it traps is entered as less than a page, which QEMU forgets at once.
 */

/* QEMU's MMUAccessType, as ours. */
static const uint32_t bit_of[] = { SCRY_READ, SCRY_WRITE, SCRY_EXEC };

#define LESS_THAN_A_PAGE 1

static bool (*original_fill)(struct qemu_cpu *cpu, uint64_t gva, int size, int type, int mmu,
			     bool probe, uintptr_t host_pc);
static void (*original_set)(struct qemu_cpu *cpu, uint64_t gva, uint64_t gpa, uint64_t attrs,
			    int prot, int mmu, uint64_t size);

static bool fill(struct qemu_cpu *cpu, uint64_t gva, int size, int type, int mmu, bool probe,
		 uintptr_t host_pc)
{
	struct vcpu *vcpu = vcpu_of(cpu);
	struct tlb_access outer;
	bool done;

	if (!vcpu || (!vcpu->slat && !watchpoint_any()))
		return original_fill(cpu, gva, size, type, mmu, probe, host_pc);
	outer = vcpu->access;
	if (probe && outer.on)
		vcpu->access.walk = true;
	else
		vcpu->access = (struct tlb_access){ .on = true, .gva = gva, .host_pc = host_pc,
						.size = (uint32_t)size, .type = bit_of[type] };
	done = original_fill(cpu, gva, size, type, mmu, probe, host_pc);
	vcpu->access = outer;
	return done;
}

/*
 * A TLB entry for writing but not reading would be QEMU's end at a locked
 * instruction: where reads are trapped writes are looked at, too.
 */
static uint32_t permitted(uint64_t entry)
{
	uint32_t traps = (uint32_t)(entry & SLAT_TRAPS);

	return ~(traps & SCRY_READ ? traps | SCRY_WRITE : traps) & SLAT_TRAPS;
}

static void set_page(struct qemu_cpu *cpu, uint64_t gva, uint64_t gpa, uint64_t attrs, int prot,
		     int mmu, uint64_t size)
{
	struct vcpu *vcpu = vcpu_of(cpu);
	bool looks = vcpu && vcpu->access.on;
	uint64_t entry = looks && vcpu->slat ? slat_find(vcpu->slat, gpa >> 12 & SLAT_GFNS) : 0;
	uint64_t comes_by;
	uint32_t needed;

	if (entry & SLAT_TRAPS) {
		memory_event(vcpu, gpa, entry);
		entry = vcpu->slat ? slat_find(vcpu->slat, gpa >> 12 & SLAT_GFNS) : 0;
	}
	if (entry & SLAT_REMAPPED)
		gpa = entry & SLAT_PAGE;
	comes_by = entry | (looks ? watch_access(vcpu) : 0);
	if (comes_by & SLAT_TRAPS) {
		/* The page walker asks for a page that it can write. */
		needed = vcpu->access.walk ? SCRY_WRITE : vcpu->access.type;
		if ((uint32_t)prot & permitted(comes_by) & needed)
			prot &= (int)permitted(comes_by);
		else
			size = LESS_THAN_A_PAGE;
	}
	if (entry & SCRY_READ && substitute_finds(vcpu, &gpa)) {
		prot &= (int)SCRY_READ;
		size = LESS_THAN_A_PAGE;
	}
	original_set(cpu, gva, gpa, attrs, prot, mmu, size);
}

int access_init(void)
{
	const char *why = detour_install((void *)qemu.tlb_set_page_with_attrs, (void *)set_page,
					 (void **)&original_set);

	if (why)
		return refuse("cannot detour tlb_set_page_with_attrs: %s: use the distributions' QEMU "
			      "7.2 or 10.0", why);
	original_fill = qemu.x86_cpu_tlb_fill;
	return image_replace("x86_cpu_tlb_fill", (void *)original_fill, (void *)fill);
}
