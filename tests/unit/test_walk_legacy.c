/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Page walks in 32-bit and PAE mode, and with paging off. */
#include "tables.h"

#define WU (SCRY_PAGE_WRITE | SCRY_PAGE_USER)
#define KIB4 UINT64_C(0x1000)
#define MIB2 UINT64_C(0x200000)
#define MIB4 UINT64_C(0x400000)

#define GVA UINT64_C(0xc0345678)

static uint64_t pde_of(uint64_t root, uint64_t gva)
{
	return root + (gva >> 22) * 4;
}

static uint64_t pte_of(uint64_t table, uint64_t gva)
{
	return table + (gva >> 12 & 1023) * 4;
}

static void bits32_pages(void **state)
{
	uint64_t root, table;
	struct scry_as *as;
	struct scry_walk w;

	tables_reset();
	root = table_new();
	table = table_new();
	as = as_new(*state, SCRY_PAGING_32BIT, root | 0xfff);
	expect_fault(as, GVA, SCRY_WALK_NOT_PRESENT, 1, pde_of(root, GVA));
	entry_set32(pde_of(root, GVA), (uint32_t)(table | PTE_PWU));
	expect_fault(as, GVA, SCRY_WALK_NOT_PRESENT, 2, pte_of(table, GVA));

	entry_set32(pte_of(table, GVA), 0x5000 | PTE_PWU | PTE_G | PTE_A | PTE_D | PTE_PS);
	expect_page(as, GVA, 0x5678, KIB4,
		    WU | SCRY_PAGE_GLOBAL | SCRY_PAGE_ACCESSED | SCRY_PAGE_DIRTY, 0);
	assert_ok(scry_walk(as, GVA, &w));
	assert_int_equal(w.levels, 2);
	assert_int_equal(w.step[0].level, 2);
	assert_int_equal(w.step[0].gpa, pde_of(root, GVA));
	assert_int_equal(w.step[0].entry, table | PTE_PWU);
	assert_int_equal(w.step[1].level, 1);
	assert_int_equal(w.step[1].gpa, pte_of(table, GVA));

	entry_set32(pte_of(table, GVA), 0xfffff000 | PTE_P | PTE_U);
	expect_page(as, GVA, 0xfffff678, KIB4, SCRY_PAGE_USER, 0);
	entry_set32(pde_of(root, GVA), (uint32_t)(table | PTE_P | PTE_W));
	expect_page(as, GVA, 0xfffff678, KIB4, 0, 0);
	entry_set32(pte_of(table, GVA), 0x5000 | PTE_PWU);
	expect_page(as, GVA, 0x5678, KIB4, SCRY_PAGE_WRITE, 0);

	/* The last page there is, and what lies beyond 32 bits. */
	entry_set32(pde_of(root, 0xffffffff), (uint32_t)(table | PTE_PWU));
	entry_set32(pte_of(table, 0xffffffff), 0x6000 | PTE_P);
	expect_page(as, 0xffffffff, 0x6fff, KIB4, 0, 0);
	expect_fault(as, UINT64_C(0x100000000), SCRY_WALK_NON_CANONICAL, 0, 0);
	expect_fault(as, UINT64_MAX, SCRY_WALK_NON_CANONICAL, 0, 0);
	scry_as_free(as);
}

static void bits32_pse(void **state)
{
	struct scry_as_opts no_pse = { .sz = sizeof(no_pse), .mode = SCRY_PAGING_32BIT };
	struct scry_as *as, *without;
	uint64_t root, table;

	tables_reset();
	root = table_new();
	table = table_new();
	as = as_new(*state, SCRY_PAGING_32BIT, root);
	assert_ok(scry_as_open(*state, root, &no_pse, &without));
	entry_set32(pde_of(root, GVA), MIB4 | PTE_PWU | PTE_PS | PTE_D);
	expect_page(as, GVA, MIB4 + (GVA & (MIB4 - 1)), MIB4, WU | SCRY_PAGE_DIRTY, 0);
	/* PSE-36: bits 20:13 are bits 39:32 of the frame; 12 is PAT. */
	entry_set32(pde_of(root, GVA),
		    0xa5u << 13 | 0xffc00000u | BIT(12) | PTE_P | PTE_PS | PTE_G);
	expect_page(as, GVA, UINT64_C(0xa5ffc00000) + (GVA & (MIB4 - 1)), MIB4, SCRY_PAGE_GLOBAL,
		    0);
	entry_set32(pde_of(root, GVA), MIB4 | BIT(21) | PTE_PWU | PTE_PS);
	expect_fault(as, GVA, SCRY_WALK_RESERVED_BIT, 1, pde_of(root, GVA));

	/* Without CR4.PSE bit 7 of a PDE is ignored. */
	entry_set32(pde_of(root, GVA), (uint32_t)(table | PTE_PWU | PTE_PS));
	entry_set32(pte_of(table, GVA), 0x5000 | PTE_PWU);
	expect_page(without, GVA, 0x5678, KIB4, WU, 0);
	scry_as_free(without);
	scry_as_free(as);
}

static void bits32_outside(void **state)
{
	struct scry_as *as;
	uint64_t root;

	tables_reset();
	root = table_new();
	as = as_new(*state, SCRY_PAGING_32BIT, root);
	entry_set32(pde_of(root, GVA), HOLE_GPA | PTE_PWU);
	expect_fault(as, GVA, SCRY_WALK_NO_MEMORY, 1, pde_of(root, GVA));
	scry_as_free(as);
	as = as_new(*state, SCRY_PAGING_32BIT, HOLE_GPA);
	expect_fault(as, GVA, SCRY_WALK_NO_MEMORY, 0, 0);
	scry_as_free(as);
}

/* Four PDPTEs of 32-byte alignment, then two levels of 512 entries. */
struct pae {
	uint64_t pdpt, directory;
	struct scry_as *as;
};

static void pae_new(struct scry_vm *vm, struct pae *p)
{
	tables_reset();
	p->pdpt = table_new() + 0x7e0;
	p->directory = table_new();
	fake_set_u64(p->pdpt + 3 * 8, p->directory | PTE_P);
	p->as = as_new(vm, SCRY_PAGING_PAE, p->pdpt | 0x1f);
}

static void pae_pages(void **state)
{
	uint64_t at;
	struct pae p;

	pae_new(*state, &p);
	expect_fault(p.as, 0x1000, SCRY_WALK_NOT_PRESENT, 1, p.pdpt);
	expect_fault(p.as, GVA, SCRY_WALK_NOT_PRESENT, 2, p.directory + (GVA >> 21 & 511) * 8);
	/* A PDPTE has no W and U: they come from the lower levels. */
	at = entry_set(p.directory, 2, GVA, 1, 0x5000 | PTE_PWU | PTE_G | PTE_A | PTE_D, PTE_PWU);
	expect_page(p.as, GVA, 0x5678, KIB4,
		    WU | SCRY_PAGE_GLOBAL | SCRY_PAGE_ACCESSED | SCRY_PAGE_DIRTY, 0);
	fake_set_u64(at, UINT64_C(0xffffffffff000) | PTE_P | PTE_W | PTE_NX);
	expect_page(p.as, GVA, UINT64_C(0xffffffffff678), KIB4, SCRY_PAGE_WRITE | SCRY_PAGE_NX, 0);

	at = entry_set(p.directory, 2, GVA + MIB4, 2, 3 * MIB2 | BIT(12) | PTE_PWU | PTE_PS, 0);
	expect_page(p.as, GVA + MIB4, 3 * MIB2 + (GVA & (MIB2 - 1)), MIB2, WU, 0);
	fake_set_u64(at, 3 * MIB2 | PTE_P | PTE_U | PTE_PS | PTE_NX | PTE_G);
	expect_page(p.as, GVA + MIB4, 3 * MIB2 + (GVA & (MIB2 - 1)), MIB2,
		    SCRY_PAGE_USER | SCRY_PAGE_NX | SCRY_PAGE_GLOBAL, 0);
	expect_fault(p.as, UINT64_C(0x100000000) | GVA, SCRY_WALK_NON_CANONICAL, 0, 0);
	scry_as_free(p.as);
}

static void pae_steps(void **state)
{
	struct scry_walk w;
	struct pae p;

	pae_new(*state, &p);
	entry_set(p.directory, 2, GVA, 1, 0x5000 | PTE_PWU, PTE_PWU);
	assert_ok(scry_walk(p.as, GVA, &w));
	assert_int_equal(w.levels, 3);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(w.step[i].level, 3 - i);
		assert_int_equal(w.step[i].entry, fake_u64(w.step[i].gpa));
	}
	assert_int_equal(w.step[0].gpa, p.pdpt + 3 * 8);
	assert_int_equal(w.step[1].gpa, p.directory + (GVA >> 21 & 511) * 8);
	scry_as_free(p.as);
}

/* Set each of the bits, one at a time, in the entry at gpa. */
static void expect_reserved(struct scry_as *as, uint64_t gva, uint64_t gpa, uint64_t bits,
			    int levels)
{
	uint64_t entry = fake_u64(gpa);

	for (int bit = 0; bit < 64; bit++) {
		if (!(bits >> bit & 1))
			continue;
		fake_set_u64(gpa, entry | BIT(bit));
		expect_fault(as, gva, SCRY_WALK_RESERVED_BIT, levels, gpa);
	}
	fake_set_u64(gpa, entry);
}

#define RESERVED_HIGH (UINT64_C(0x7ff) << 52)	/* bits 62:52 */

static void pae_reserved(void **state)
{
	struct scry_as_opts no_nx = { .sz = sizeof(no_nx), .mode = SCRY_PAGING_PAE };
	uint64_t pdpte, pde, pte, large;
	struct scry_as *without;
	struct pae p;

	pae_new(*state, &p);
	pte = entry_set(p.directory, 2, GVA, 1, 0x5000 | PTE_PWU, PTE_PWU);
	pde = p.directory + (GVA >> 21 & 511) * 8;
	pdpte = p.pdpt + 3 * 8;
	large = entry_set(p.directory, 2, GVA + MIB4, 2, 3 * MIB2 | PTE_PWU | PTE_PS, 0);

	expect_reserved(p.as, GVA, pdpte, PTE_NX | RESERVED_HIGH | 0x1c6, 1);
	expect_reserved(p.as, GVA, pde, RESERVED_HIGH, 2);
	expect_reserved(p.as, GVA, pte, RESERVED_HIGH, 3);
	expect_reserved(p.as, GVA + MIB4, large, RESERVED_HIGH | 0x1fe000, 2);

	assert_ok(scry_as_open(*state, p.pdpt, &no_nx, &without));
	expect_reserved(without, GVA, pde, PTE_NX, 2);
	expect_reserved(without, GVA, pte, PTE_NX, 3);
	expect_reserved(without, GVA + MIB4, large, PTE_NX, 2);
	scry_as_free(without);

	/* PWT, PCD and bits 11:9 of a PDPTE are not; bit 5 is, but QEMU sets it. */
	fake_set_u64(pdpte, fake_u64(pdpte) | 0x20 | 0x18 | 0xe00);
	expect_page(p.as, GVA, 0x5678, KIB4, WU, 0);
	scry_as_free(p.as);
}

static void pae_outside(void **state)
{
	struct scry_as *as;
	struct pae p;

	pae_new(*state, &p);
	fake_set_u64(p.pdpt, HOLE_GPA | PTE_P);
	expect_fault(p.as, 0, SCRY_WALK_NO_MEMORY, 1, p.pdpt);
	scry_as_free(p.as);
	/* The table of the PDPTEs, 32 bytes, may end at the end of memory. */
	as = as_new(*state, SCRY_PAGING_PAE, HOLE_GPA - 32);
	fake_set_u64(HOLE_GPA - 8, p.directory | PTE_P);
	entry_set(p.directory, 2, GVA, 1, 0x5000 | PTE_PWU, PTE_PWU);
	expect_page(as, GVA, 0x5678, KIB4, WU, 0);
	scry_as_free(as);
	as = as_new(*state, SCRY_PAGING_PAE, HOLE_GPA);
	expect_fault(as, GVA, SCRY_WALK_NO_MEMORY, 0, 0);
	scry_as_free(as);
}

static void off(void **state)
{
	struct scry_as *as = as_new(*state, SCRY_PAGING_OFF, 0);
	uint64_t value;

	expect_page(as, 0x12345, 0x12345, KIB4, WU, 0);
	expect_page(as, 0xffffffff, 0xffffffff, KIB4, WU, 0);
	expect_fault(as, UINT64_C(0x100000000), SCRY_WALK_NON_CANONICAL, 0, 0);
	assert_ok(scry_read_virt_u64(as, 0x12345, &value));
	assert_int_equal(value, fake_u64(0x12345));
	scry_as_free(as);
}

static void expect_mode(struct scry_vm *vm, uint64_t cr0, uint64_t cr4, uint64_t efer,
			enum scry_paging_mode mode)
{
	struct scry_as *as;

	fake.regs[1].cr0 = cr0;
	fake.regs[1].cr3 = 0x1000;
	fake.regs[1].cr4 = cr4;
	fake.regs[1].efer = efer;
	assert_ok(scry_as_of_vcpu(vm, 1, &as));
	assert_int_equal(scry_as_mode(as), mode);
	assert_int_equal(scry_as_root(as), 0x1000);
	scry_as_free(as);
}

static void modes_of_a_vcpu(void **state)
{
	const uint64_t pg = BIT(31), pae = BIT(5), la57 = BIT(12), lma = BIT(10) | BIT(8);
	struct scry_vm *vm = *state;
	struct scry_as_opts opts = { .sz = sizeof(opts), .mode = SCRY_PAGING_5LEVEL + 1 };
	struct scry_as *as;

	expect_mode(vm, 0, pae, 0, SCRY_PAGING_OFF);
	expect_mode(vm, pg, 0, 0, SCRY_PAGING_32BIT);
	expect_mode(vm, pg, pae, 0, SCRY_PAGING_PAE);
	expect_mode(vm, pg, pae, lma, SCRY_PAGING_4LEVEL);
	expect_mode(vm, pg, pae | la57, lma, SCRY_PAGING_5LEVEL);
	assert_error(SCRY_E_INVAL, scry_as_of_vcpu(vm, FAKE_VCPUS, &as));
	assert_error(SCRY_E_INVAL, scry_as_open(vm, 0, &opts, &as));
	assert_error(SCRY_E_INVAL, scry_as_open(vm, 0, NULL, &as));
	opts.mode = SCRY_PAGING_OFF;
	opts.sz = 4;
	assert_error(SCRY_E_INVAL, scry_as_open(vm, 0, &opts, &as));
	assert_null(as);
	scry_as_free(NULL);
}

/* The vCPU's PSE and NXE are taken over. */
static void switches_of_a_vcpu(void **state)
{
	uint64_t root;

	tables_reset();
	root = table_new();
	entry_set32(pde_of(root, GVA), MIB4 | PTE_PWU | PTE_PS);
	for (int pse = 0; pse < 2; pse++) {
		struct scry_walk w;
		struct scry_as *as;

		fake.regs[0].cr0 = BIT(31);
		fake.regs[0].cr3 = root;
		fake.regs[0].cr4 = pse ? BIT(4) : 0;
		assert_ok(scry_as_of_vcpu(*state, 0, &as));
		assert_ok(scry_walk(as, GVA, &w));
		assert_int_equal(w.levels, pse ? 1 : 2);
		scry_as_free(as);
	}
	memset(fake_at(root), 0, 4096);
	entry_set(root, 4, GVA, 1, 0x5000 | PTE_P | PTE_NX, PTE_PWU);
	for (int nxe = 0; nxe < 2; nxe++) {
		struct scry_walk w;
		struct scry_as *as;

		fake.regs[0].cr4 = BIT(5);
		fake.regs[0].efer = BIT(10) | (nxe ? BIT(11) : 0);
		assert_ok(scry_as_of_vcpu(*state, 0, &as));
		assert_ok(scry_walk(as, GVA, &w));
		assert_int_equal(w.fault, nxe ? SCRY_WALK_OK : SCRY_WALK_RESERVED_BIT);
		scry_as_free(as);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(bits32_pages, unit_open, unit_close),
		cmocka_unit_test_setup_teardown(bits32_pse, unit_open, unit_close),
		cmocka_unit_test_setup_teardown(bits32_outside, unit_open, unit_close),
		cmocka_unit_test_setup_teardown(pae_pages, unit_open, unit_close),
		cmocka_unit_test_setup_teardown(pae_steps, unit_open, unit_close),
		cmocka_unit_test_setup_teardown(pae_reserved, unit_open, unit_close),
		cmocka_unit_test_setup_teardown(pae_outside, unit_open, unit_close),
		cmocka_unit_test_setup_teardown(off, unit_open, unit_close),
		cmocka_unit_test_setup_teardown(modes_of_a_vcpu, unit_open, unit_close),
		cmocka_unit_test_setup_teardown(switches_of_a_vcpu, unit_open, unit_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
