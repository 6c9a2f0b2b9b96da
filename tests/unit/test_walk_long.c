/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Page walks in 4-level and 5-level mode. */
#include "tables.h"

#define WU (SCRY_PAGE_WRITE | SCRY_PAGE_USER)
#define KIB4 UINT64_C(0x1000)
#define MIB2 UINT64_C(0x200000)
#define GIB1 UINT64_C(0x40000000)

#define GVA4 UINT64_C(0x00007f1234567000)
#define GVA5 UINT64_C(0x00ab7f1234567000)
#define KERNEL4 UINT64_C(0xffff888012345000)
#define KERNEL5 UINT64_C(0xff11888012345000)

/* Each test is for both modes. */
struct mode {
	struct scry_vm *vm;
	enum scry_paging_mode mode;
	int levels;
	uint64_t user, kernel;		/* an address in each half */
	uint64_t beyond;		/* the first that is not canonical */
	uint64_t root;
	struct scry_as *as;
};

static void each_mode(void **state, void (*test)(struct mode *m))
{
	struct mode modes[] = {
		{ *state, SCRY_PAGING_4LEVEL, 4, GVA4, KERNEL4, UINT64_C(1) << 47, 0, NULL },
		{ *state, SCRY_PAGING_5LEVEL, 5, GVA5, KERNEL5, UINT64_C(1) << 56, 0, NULL },
	};

	for (int i = 0; i < 2; i++) {
		tables_reset();
		modes[i].root = table_new();
		modes[i].as = as_new(modes[i].vm, modes[i].mode, modes[i].root);
		test(&modes[i]);
		scry_as_free(modes[i].as);
	}
}

static void check_sizes(struct mode *m)
{
	const uint64_t flags = PTE_PWU;

	entry_set(m->root, m->levels, m->user, 1, 0x5000 | PTE_PWU, flags);
	expect_page(m->as, m->user + 0xabc, 0x5abc, KIB4, WU, 0);
	expect_page(m->as, m->user, 0x5000, KIB4, WU, 0);
	expect_page(m->as, m->user + 0xfff, 0x5fff, KIB4, WU, 0);
	expect_fault(m->as, m->user + 0x1000, SCRY_WALK_NOT_PRESENT, m->levels,
		     entry_set(m->root, m->levels, m->user + 0x1000, 1, 0, flags));

	entry_set(m->root, m->levels, m->kernel, 2, MIB2 | PTE_PWU | PTE_PS, flags);
	expect_page(m->as, m->kernel, MIB2 + (m->kernel & (MIB2 - 1)), MIB2, WU, 0);
	expect_page(m->as, m->kernel | (MIB2 - 1), 2 * MIB2 - 1, MIB2, WU, 0);

	/* Another GiB of the same half; its page is far outside memory, and found all the same. */
	entry_set(m->root, m->levels, m->kernel + GIB1, 3, 7 * GIB1 | PTE_PWU | PTE_PS, flags);
	expect_page(m->as, m->kernel + GIB1, 7 * GIB1 + (m->kernel & (GIB1 - 1)), GIB1, WU, 0);
	/* Bit 12 of a large page is its PAT. */
	entry_set(m->root, m->levels, m->kernel + GIB1, 3, 7 * GIB1 | BIT(12) | PTE_PWU | PTE_PS,
		  flags);
	expect_page(m->as, m->kernel + GIB1, 7 * GIB1 + (m->kernel & (GIB1 - 1)), GIB1, WU, 0);
	/* Bit 7 of a PTE is its PAT, not a page size. */
	entry_set(m->root, m->levels, m->user, 1, 0x5000 | PTE_PWU | PTE_PS, flags);
	expect_page(m->as, m->user, 0x5000, KIB4, WU, 0);
}

static void sizes(void **state)
{
	each_mode(state, check_sizes);
}

/* The first and the last page of each half. */
static void check_corners(struct mode *m)
{
	const uint64_t corner[] = { 0, m->beyond - 4096, -m->beyond, UINT64_MAX - 4095 };

	for (unsigned i = 0; i < 4; i++)
		entry_set(m->root, m->levels, corner[i], 1, (i + 1) * 0x1000 | PTE_P, PTE_PWU);
	for (unsigned i = 0; i < 4; i++)
		expect_page(m->as, corner[i] + 4095, (i + 1) * 0x1000 + 4095, KIB4, 0, 0);
	expect_fault(m->as, m->beyond, SCRY_WALK_NON_CANONICAL, 0, 0);
	expect_fault(m->as, -m->beyond - 1, SCRY_WALK_NON_CANONICAL, 0, 0);
	expect_fault(m->as, UINT64_C(1) << 63, SCRY_WALK_NON_CANONICAL, 0, 0);
	expect_fault(m->as, UINT64_MAX >> 1, SCRY_WALK_NON_CANONICAL, 0, 0);
}

static void corners(void **state)
{
	each_mode(state, check_corners);
}

static void check_steps(struct mode *m)
{
	uint64_t at = entry_set(m->root, m->levels, m->user, 1, 0x5000 | PTE_PWU, PTE_PWU | PTE_A);
	uint64_t table = m->root;
	struct scry_walk w;

	assert_ok(scry_walk(m->as, m->user, &w));
	assert_int_equal(w.levels, m->levels);
	assert_int_equal(w.step[m->levels - 1].gpa, at);
	for (int i = 0; i < m->levels; i++) {
		assert_int_equal(w.step[i].level, m->levels - i);
		assert_int_equal(w.step[i].gpa & ~UINT64_C(4095), table);
		assert_int_equal(w.step[i].entry, fake_u64(w.step[i].gpa));
		table = w.step[i].entry & ~UINT64_C(4095);
	}
}

static void steps(void **state)
{
	each_mode(state, check_steps);
}

/* Take a flag away at one level, or add NX at one: it counts at every level. */
static void check_permissions(struct mode *m)
{
	for (int level = m->levels; level >= 1; level--) {
		uint64_t at = entry_set(m->root, m->levels, m->user, 1, 0x5000 | PTE_PWU, PTE_PWU);
		struct scry_walk w;
		uint64_t entry;

		assert_ok(scry_walk(m->as, m->user, &w));
		at = w.step[m->levels - level].gpa;
		entry = fake_u64(at);
		fake_set_u64(at, entry & ~PTE_W);
		expect_page(m->as, m->user, 0x5000, KIB4, SCRY_PAGE_USER, 0);
		fake_set_u64(at, entry & ~PTE_U);
		expect_page(m->as, m->user, 0x5000, KIB4, SCRY_PAGE_WRITE, 0);
		fake_set_u64(at, entry | PTE_NX);
		expect_page(m->as, m->user, 0x5000, KIB4, WU | SCRY_PAGE_NX, 0);
		fake_set_u64(at, entry & ~PTE_P);
		expect_fault(m->as, m->user, SCRY_WALK_NOT_PRESENT, m->levels - level + 1, at);
		fake_set_u64(at, entry);
	}
}

static void permissions(void **state)
{
	each_mode(state, check_permissions);
}

/* A, D, G and the protection key are the leaf's alone. */
static void check_leaf_flags(struct mode *m)
{
	static const struct {
		uint64_t bit;
		uint32_t flag;
	} leaf[] = {
		{ PTE_A, SCRY_PAGE_ACCESSED },
		{ PTE_D, SCRY_PAGE_DIRTY },
		{ PTE_G, SCRY_PAGE_GLOBAL },
	};
	const uint64_t upper = PTE_PWU | PTE_A | PTE_D | PTE_G | PTE_KEY(15) | BIT(9) | BIT(58);

	for (int level = 1; level <= 3; level++) {
		uint64_t size = KIB4 << 9 * (level - 1), gva = m->user + level * GIB1 * 2;
		uint64_t frame = 3 * GIB1, offset = gva & (size - 1);
		uint64_t entry = frame | PTE_P | (level > 1 ? PTE_PS : 0);

		for (unsigned i = 0; i < 3; i++) {
			entry_set(m->root, m->levels, gva, level, entry | leaf[i].bit, upper);
			expect_page(m->as, gva, frame + offset, size, leaf[i].flag, 0);
		}
		for (unsigned key = 0; key < 16; key++) {
			entry_set(m->root, m->levels, gva, level, entry | PTE_KEY(key), upper);
			expect_page(m->as, gva, frame + offset, size, 0, key);
		}
		/* What software may use, and what is ignored. */
		entry_set(m->root, m->levels, gva, level, entry | 7 << 9 | UINT64_C(0x7f) << 52,
			  upper);
		expect_page(m->as, gva, frame + offset, size, 0, 0);
	}
}

static void leaf_flags(void **state)
{
	each_mode(state, check_leaf_flags);
}

static void check_reserved(struct mode *m)
{
	uint64_t at;

	/* PS in a PML4E or PML5E. */
	entry_set(m->root, m->levels, m->user, 1, 0x5000 | PTE_P, PTE_PWU);
	for (int level = m->levels; level >= 4; level--) {
		struct scry_walk w;

		assert_ok(scry_walk(m->as, m->user, &w));
		at = w.step[m->levels - level].gpa;
		fake_set_u64(at, fake_u64(at) | PTE_PS);
		expect_fault(m->as, m->user, SCRY_WALK_RESERVED_BIT, m->levels - level + 1, at);
		fake_set_u64(at, fake_u64(at) & ~PTE_PS);
	}
	/* Between bit 12 and the frame of a large page. */
	for (int level = 2; level <= 3; level++) {
		uint64_t gva = m->kernel + (uint64_t)level * GIB1;

		for (int bit = 13; bit < 12 + 9 * (level - 1); bit++) {
			at = entry_set(m->root, m->levels, gva, level, PTE_P | PTE_PS | BIT(bit),
				       PTE_PWU);
			expect_fault(m->as, gva, SCRY_WALK_RESERVED_BIT, m->levels - level + 1, at);
		}
	}
	/* No bit of an entry that is not present is reserved. */
	at = entry_set(m->root, m->levels, m->user, 1, ~PTE_P, PTE_PWU);
	expect_fault(m->as, m->user, SCRY_WALK_NOT_PRESENT, m->levels, at);
}

static void level_names(void **state)
{
	static const char *const names[] = { "?", "PTE", "PDE", "PDPTE", "PML4E", "PML5E", "?" };

	(void)state;
	for (int level = 0; level < 7; level++)
		assert_string_equal(scry_level_name(level), names[level]);
	assert_string_equal(scry_level_name(-1), "?");
}

static void reserved(void **state)
{
	each_mode(state, check_reserved);
}

/* Bit 63 is reserved at every level while EFER.NXE is 0. */
static void nx_without_nxe(void **state)
{
	struct scry_as_opts opts = { .sz = sizeof(opts), .mode = SCRY_PAGING_4LEVEL };
	struct scry_as *as;
	struct scry_walk w;
	uint64_t root;

	tables_reset();
	root = table_new();
	assert_ok(scry_as_open(*state, root, &opts, &as));
	entry_set(root, 4, GVA4, 1, 0x5000 | PTE_PWU, PTE_PWU);
	expect_page(as, GVA4, 0x5000, KIB4, WU, 0);
	for (int i = 0; i < 4; i++) {
		assert_ok(scry_walk(as, GVA4, &w));
		fake_set_u64(w.step[i].gpa, w.step[i].entry | PTE_NX);
		expect_fault(as, GVA4, SCRY_WALK_RESERVED_BIT, i + 1, w.step[i].gpa);
		fake_set_u64(w.step[i].gpa, w.step[i].entry);
	}
	scry_as_free(as);
}

static void check_outside(struct mode *m)
{
	uint64_t at = entry_set(m->root, m->levels, m->user, 2, HOLE_GPA | PTE_P, PTE_PWU);
	struct scry_as *nowhere = as_new(m->vm, m->mode, HOLE_GPA);

	/* A table in a hole: the walk ends at the entry that points there. */
	expect_fault(m->as, m->user, SCRY_WALK_NO_MEMORY, m->levels - 1, at);
	expect_fault(nowhere, m->user, SCRY_WALK_NO_MEMORY, 0, 0);
	scry_as_free(nowhere);
	/* A table at the architecture's last frame. */
	entry_set(m->root, m->levels, m->user, 2, UINT64_C(0xffffffffff000) | PTE_P, PTE_PWU);
	expect_fault(m->as, m->user, SCRY_WALK_NO_MEMORY, m->levels - 1, at);

	/* A table that no mapping reaches, and one in ROM, serve as well. */
	entry_set(m->root, m->levels, m->user, 2, FAR_GPA | PTE_PWU, PTE_PWU);
	entry_set(m->root, m->levels, m->user, 1, 0x5000 | PTE_PWU, PTE_PWU);
	expect_page(m->as, m->user, 0x5000, KIB4, WU, 0);
	entry_set(m->root, m->levels, m->user, 2, ROM_GPA | PTE_PWU, PTE_PWU);
	entry_set(m->root, m->levels, m->user, 1, 0x6000 | PTE_PWU, PTE_PWU);
	expect_page(m->as, m->user, 0x6000, KIB4, WU, 0);
}

static void outside(void **state)
{
	each_mode(state, check_outside);
}

/* Tables that point at themselves, as a recursive mapping has them, and at each other. */
static void check_loops(struct mode *m)
{
	uint64_t other = table_new(), at;

	fake_set_u64(m->root, m->root | PTE_PWU);
	expect_page(m->as, 0x123, m->root + 0x123, KIB4, WU, 0);
	fake_set_u64(m->root, other | PTE_PWU);
	fake_set_u64(other, m->root | PTE_PWU);
	expect_page(m->as, 0x123, (m->levels & 1 ? other : m->root) + 0x123, KIB4, WU, 0);
	at = m->root + 8 * 511;
	fake_set_u64(at, m->root | PTE_P);
	expect_page(m->as, UINT64_MAX, m->root + 0xfff, KIB4, 0, 0);
}

static void loops(void **state)
{
	each_mode(state, check_loops);
}

/* Only the address bits of a CR3 value count: PCID and the LAM bits do not. */
static void check_root(struct mode *m)
{
	const uint64_t cr3 = m->root | 0xfff | UINT64_C(3) << 61 | BIT(63);
	struct scry_as *as = as_new(m->vm, m->mode, cr3);

	entry_set(m->root, m->levels, m->user, 1, 0x5000 | PTE_PWU, PTE_PWU);
	expect_page(as, m->user, 0x5000, KIB4, WU, 0);
	assert_int_equal(scry_as_root(as), cr3);
	assert_int_equal(scry_as_mode(as), m->mode);
	scry_as_free(as);
}

static void roots(void **state)
{
	each_mode(state, check_root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(sizes, unit_open, unit_close),
		cmocka_unit_test_setup_teardown(corners, unit_open, unit_close),
		cmocka_unit_test_setup_teardown(steps, unit_open, unit_close),
		cmocka_unit_test_setup_teardown(permissions, unit_open, unit_close),
		cmocka_unit_test_setup_teardown(leaf_flags, unit_open, unit_close),
		cmocka_unit_test_setup_teardown(reserved, unit_open, unit_close),
		cmocka_unit_test(level_names),
		cmocka_unit_test_setup_teardown(nx_without_nxe, unit_open, unit_close),
		cmocka_unit_test_setup_teardown(outside, unit_open, unit_close),
		cmocka_unit_test_setup_teardown(loops, unit_open, unit_close),
		cmocka_unit_test_setup_teardown(roots, unit_open, unit_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
