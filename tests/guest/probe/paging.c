/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Page tables whose translations are known by construction, in every paging
 * mode, and the table of struct probe_xlat that tells them to the outside.
 */
#include "guest.h"

/* As SCRY_PAGE_* of libscry. */
#define W  1u
#define U  2u
#define NX 4u
#define G  8u

#define PTE_NX   (1ull << 63)
#define PKEY(n)  ((uint64_t)(n) << 59)
#define TEXT_2M  0x200000ull		/* the 2 MiB page of the probe's own code */

#define LONG_GVA    0x100000000000ull	/* entry 32 of the PML4 */
#define PAE_GVA     0x80000000ull	/* entry 2 of the PDPT */
#define LEGACY_GVA  0x80000000ull	/* entry 512 of the page directory */
#define LEVEL5_GVA  0x1000000000000ull	/* entry 1 of the PML5 */

#define PAGE __attribute__((aligned(4096)))

uint64_t pml5[512] PAGE;
static uint64_t pml4_copy[512] PAGE;
static uint64_t test_pdpt[512] PAGE, test_pd[512] PAGE, test_pt[512] PAGE;
static uint64_t pae_pdpt[512] PAGE, pae_pd[512] PAGE;
static uint32_t pd32[1024] PAGE, pt32[1024] PAGE;
static uint64_t targets[PROBE_TARGETS][512] PAGE, scratch[PROBE_TARGETS][512] PAGE;

#define XLATS 32
static struct probe_xlat tables[PROBE_PAGING_MODES][XLATS];

static uint64_t phys(const volatile void *p)
{
	return (uintptr_t)p;
}

static struct probe_xlat *add(unsigned mode, uint64_t gva)
{
	uint64_t count = header->xlat[mode].count;

	if (count == XLATS)
		panic("too many translations");
	header->xlat[mode].count = count + 1;
	tables[mode][count].gva = gva;
	return &tables[mode][count];
}

static struct probe_xlat *add_page(unsigned mode, uint64_t gva, uint64_t gpa, uint64_t size,
				   uint32_t flags)
{
	struct probe_xlat *x = add(mode, gva);

	x->gpa = gpa;
	x->page_size = size;
	x->flags = flags;
	return x;
}

static void add_fault(unsigned mode, uint64_t gva, enum probe_walk_fault fault)
{
	add(mode, gva)->fault = fault;
}

static void fill_targets(void)
{
	for (unsigned i = 0; i < PROBE_TARGETS; i++)
		for (unsigned j = 0; j < 512; j++) {
			targets[i][j] = PROBE_STAMP ^ phys(&targets[i][j]);
			scratch[i][j] = 0;
		}
	header->targets = phys(targets);
	header->scratch = phys(scratch);
}

/* Pages of 4 KiB; PAE paging uses the same table. */
static void fill_test_pt(void)
{
	test_pt[0] = phys(targets[0]) | PTE_PWU;
	test_pt[1] = phys(targets[1]) | PTE_P;
	test_pt[2] = phys(targets[2]) | PTE_PWU | PTE_NX;
	test_pt[3] = phys(targets[3]) | PTE_P | PTE_W | PTE_G;
	test_pt[4] = phys(targets[4]) | PTE_W;
	test_pt[5] = phys(targets[5]) | PTE_PWU | PKEY(5);
	test_pt[6] = PROBE_NOWHERE | PTE_PWU;
}

static void add_4k(unsigned mode, uint64_t gva)
{
	add_page(mode, gva + 8, phys(targets[0]) + 8, 4096, W | U);
	add_page(mode, gva + 0x1ff8, phys(targets[1]) + 0xff8, 4096, 0);
	add_page(mode, gva + 0x2010, phys(targets[2]) + 0x10, 4096, W | U | NX);
	add_page(mode, gva + 0x3018, phys(targets[3]) + 0x18, 4096, W | G);
	add_fault(mode, gva + 0x4000, PROBE_WALK_NOT_PRESENT);
	if (mode == PROBE_PAGING_PAE)	/* bits 62:52 are reserved there */
		add_fault(mode, gva + 0x5000, PROBE_WALK_RESERVED_BIT);
	else
		add_page(mode, gva + 0x5020, phys(targets[5]) + 0x20, 4096, W | U)->pkey = 5;
	add_page(mode, gva + 0x6000, PROBE_NOWHERE, 4096, W | U);
	add_fault(mode, gva + 0x7000, PROBE_WALK_NOT_PRESENT);
}

static void fill_test_pd(uint64_t *pd)
{
	pd[0] = phys(test_pt) | PTE_PWU;
	pd[1] = TEXT_2M | PTE_PWU | PTE_PS;
	pd[2] = TEXT_2M | PTE_P | PTE_PS | PTE_G | PTE_NX;
	pd[3] = TEXT_2M | PTE_PWU | PTE_PS | 1 << 13;
	pd[5] = PROBE_NOWHERE | PTE_PWU;
}

static void add_2m(unsigned mode, uint64_t gva)
{
	add_page(mode, gva + 0x200040, TEXT_2M + 0x40, 2 << 20, W | U);
	add_page(mode, gva + 0x400080, TEXT_2M + 0x80, 2 << 20, G | NX);
	add_fault(mode, gva + 0x600000, PROBE_WALK_RESERVED_BIT);
	add_fault(mode, gva + 0x800000, PROBE_WALK_NOT_PRESENT);
	add_fault(mode, gva + 0xa00000, PROBE_WALK_NO_MEMORY);
}

static void init_long(void)
{
	unsigned mode = PROBE_PAGING_4LEVEL;

	fill_test_pd(test_pd);
	test_pdpt[0] = phys(test_pd) | PTE_PWU;
	test_pdpt[1] = phys(test_pd) | PTE_P | PTE_NX;
	pml4[LONG_GVA >> 39] = phys(test_pdpt) | PTE_PWU;

	add_4k(mode, LONG_GVA);
	add_2m(mode, LONG_GVA);
	add_page(mode, LONG_GVA + (1 << 30) + 8, phys(targets[0]) + 8, 4096, NX);
	if (header->features & PROBE_HAS_1GIB) {
		test_pdpt[2] = PTE_PWU | PTE_PS;
		add_page(mode, LONG_GVA + (2ull << 30) + phys(targets[6]), phys(targets[6]), 1 << 30,
			 W | U);
	}
	add_fault(mode, LONG_GVA + (3ull << 30), PROBE_WALK_NOT_PRESENT);
	add_fault(mode, LONG_GVA << 1, PROBE_WALK_NOT_PRESENT);
	add_fault(mode, 0x800000000000, PROBE_WALK_NON_CANONICAL);
	add_fault(mode, 0xfff0000000000000, PROBE_WALK_NON_CANONICAL);
	add_page(mode, PROBE_ALIAS + phys(targets[7]), phys(targets[7]), 2 << 20, W);
}

static void init_5level(void)
{
	unsigned mode = PROBE_PAGING_5LEVEL;

	pml5[0] = phys(pml4) | PTE_PWU;
	pml5[1] = phys(pml4) | PTE_P;
	pml5[256] = phys(pml4) | PTE_PWU;
	pml5[3] = PROBE_NOWHERE | PTE_PWU;

	add_4k(mode, LEVEL5_GVA | LONG_GVA);
	for (uint64_t i = 0; i < header->xlat[mode].count; i++)
		tables[mode][i].flags &= ~(W | U);
	add_page(mode, LONG_GVA + 8, phys(targets[0]) + 8, 4096, W | U);
	add_page(mode, 0xff00000000000000 + phys(targets[7]), phys(targets[7]), 2 << 20, W | U);
	add_fault(mode, 2 * LEVEL5_GVA, PROBE_WALK_NOT_PRESENT);
	add_fault(mode, 3 * LEVEL5_GVA, PROBE_WALK_NO_MEMORY);
	add_fault(mode, 0x100000000000000, PROBE_WALK_NON_CANONICAL);
}

static void init_pae(void)
{
	fill_test_pd(pae_pd);
	pae_pdpt[0] = phys(identity_pd) | PTE_P;
	pae_pdpt[2] = phys(pae_pd) | PTE_P;
	pae_pdpt[3] = phys(identity_pd + 3 * 512) | PTE_P;
	add_4k(PROBE_PAGING_PAE, PAE_GVA);
	add_2m(PROBE_PAGING_PAE, PAE_GVA);
	add_fault(PROBE_PAGING_PAE, 0x40000000, PROBE_WALK_NOT_PRESENT);
}

static void init_32bit(void)
{
	unsigned mode = PROBE_PAGING_32BIT;

	for (uint32_t i = 0; i < 512; i++)
		pd32[i] = i << 22 | PTE_PWU | PTE_PS;
	pt32[0] = (uint32_t)phys(targets[0]) | PTE_PWU;
	pt32[1] = (uint32_t)phys(targets[1]) | PTE_P;
	pt32[2] = (uint32_t)phys(targets[2]) | PTE_P | PTE_W | PTE_G;
	pd32[512] = (uint32_t)phys(pt32) | PTE_PWU;
	pd32[513] = PTE_P | PTE_PS | PTE_G;
	pd32[514] = PTE_PWU | PTE_PS | 1 << 21;

	add_page(mode, LEGACY_GVA + 8, phys(targets[0]) + 8, 4096, W | U);
	add_page(mode, LEGACY_GVA + 0x1ff8, phys(targets[1]) + 0xff8, 4096, 0);
	add_page(mode, LEGACY_GVA + 0x2010, phys(targets[2]) + 0x10, 4096, W | G);
	add_fault(mode, LEGACY_GVA + 0x3000, PROBE_WALK_NOT_PRESENT);
	add_page(mode, LEGACY_GVA + 0x400000 + (uint32_t)TEXT_2M, TEXT_2M, 4 << 20, G);
	add_page(mode, phys(targets[3]), phys(targets[3]), 4 << 20, W | U);
	add_fault(mode, LEGACY_GVA + 0x800000, PROBE_WALK_RESERVED_BIT);
	add_fault(mode, LEGACY_GVA + 0xc00000, PROBE_WALK_NOT_PRESENT);
}

void paging_init(void)
{
	for (unsigned mode = 0; mode < PROBE_PAGING_MODES; mode++)
		header->xlat[mode].table = phys(tables[mode]);
	fill_targets();
	fill_test_pt();
	init_long();
	init_5level();
	init_pae();
	init_32bit();
	add_page(PROBE_PAGING_OFF, phys(targets[1]), phys(targets[1]), 4096, W | U);
	for (unsigned i = 0; i < 512; i++)
		pml4_copy[i] = pml4[i];
	header->cr3[0] = phys(pml4);
	header->cr3[1] = phys(pml4_copy);
}

/* Read each address; the exception that this raises, or the bytes, go into the table. */
static void read_table(volatile struct probe_vcpu *v, unsigned mode)
{
	struct cpu *cpu = cpu_of(v);

	for (uint64_t i = 0; i < header->xlat[mode].count; i++) {
		struct probe_xlat *x = &tables[mode][i];
		uint64_t seen = 0;

		if (x->fault == PROBE_WALK_NO_MEMORY)
			continue;
		cpu->faulted = false;
		asm volatile(TRY("mov (%1), %0") : "+r"(seen) : "r"(x->gva) : "memory");
		x->seen = seen;
		x->vector = cpu->faulted ? (uint32_t)v->last_vector : 0;
		x->error = cpu->faulted ? v->last_error : 0;
	}
	cpu->faulted = false;
}

static void enter_legacy(volatile struct probe_vcpu *v, unsigned mode)
{
	static const struct {
		void *root;
		uint32_t cr4, cr0;
	} how[] = {
		[PROBE_PAGING_OFF] = { pae_pdpt, 0, CR0_BOOT & ~CR0_PG },
		[PROBE_PAGING_32BIT] = { pd32, CR4_PSE | CR4_PGE, CR0_BOOT },
		[PROBE_PAGING_PAE] = { pae_pdpt, CR4_PAE | CR4_PGE, CR0_BOOT },
	};
	struct legacy l = {
		.table = (uint32_t)phys(tables[mode]),
		.cr3 = (uint32_t)phys(how[mode].root),
		.cr4 = how[mode].cr4,
		.cr0 = how[mode].cr0,
		.count = (uint32_t)header->xlat[mode].count,
		.block = (uint32_t)phys(v),
	};

	legacy_paging(&l);
	v->state = PROBE_RUNS;
}

void paging_mode(volatile struct probe_vcpu *v, uint32_t mode)
{
	switch (mode) {
	case PROBE_PAGING_4LEVEL:
		read_table(v, mode);
		wait_release(v);
		break;
	case PROBE_PAGING_5LEVEL:
		long_paging(phys(pml5), header->cr4 | CR4_LA57);
		read_table(v, mode);
		wait_release(v);
		long_paging(header->cr3[0], header->cr4);
		break;
	default:
		enter_legacy(v, mode);
	}
}
