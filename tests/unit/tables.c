/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "tables.h"

static uint64_t next_table;

void tables_reset(void)
{
	next_table = MIB;
}

uint64_t table_new(void)
{
	uint64_t table = next_table;

	next_table += 4096;
	memset(fake_at(table), 0, 4096);
	return table;
}

void entry_set32(uint64_t gpa, uint32_t entry)
{
	memcpy(fake_at(gpa), &entry, sizeof(entry));
}

uint64_t entry_set(uint64_t root, int levels, uint64_t gva, int leaf_level, uint64_t entry,
		   uint64_t flags)
{
	uint64_t table = root;
	int level = levels;

	for (;; level--) {
		uint64_t at = table + (gva >> (12 + 9 * (level - 1)) & 511) * 8;

		if (level == leaf_level) {
			fake_set_u64(at, entry);
			return at;
		}
		if (!fake_u64(at))
			fake_set_u64(at, table_new() | flags);
		table = fake_u64(at) & UINT64_C(0xffffffffff000);
	}
}

struct scry_as *as_new(struct scry_vm *vm, enum scry_paging_mode mode, uint64_t root)
{
	const struct scry_as_opts opts = { .sz = sizeof(opts), .mode = mode, .pse = 1, .nxe = 1 };
	struct scry_as *as;

	assert_ok(scry_as_open(vm, root, &opts, &as));
	return as;
}

void expect_page(struct scry_as *as, uint64_t gva, uint64_t gpa, uint64_t page_size,
		 uint32_t flags, uint32_t pkey)
{
	struct scry_walk w;
	uint64_t translated;

	memset(&w, 0xee, sizeof(w));
	assert_ok(scry_walk(as, gva, &w));
	assert_int_equal(w.fault, SCRY_WALK_OK);
	assert_int_equal(w.gva, gva);
	assert_int_equal(w.gpa, gpa);
	assert_int_equal(w.page_size, page_size);
	assert_int_equal(w.flags, flags);
	assert_int_equal(w.pkey, pkey);
	assert_ok(scry_translate(as, gva, &translated));
	assert_int_equal(translated, gpa);
}

void expect_fault(struct scry_as *as, uint64_t gva, enum scry_walk_fault fault, int levels,
		  uint64_t last)
{
	struct scry_walk w;
	char text[96];
	uint64_t gpa;

	memset(&w, 0xee, sizeof(w));
	assert_ok(scry_walk(as, gva, &w));
	assert_int_equal(w.fault, fault);
	assert_int_equal(w.gva, gva);
	assert_int_equal(w.levels, levels);
	if (levels)
		assert_int_equal(w.step[levels - 1].gpa, last);
	assert_error(SCRY_E_NOTMAPPED, scry_translate(as, gva, &gpa));
	assert_says(scry_walk_text(&w, text, sizeof(text)));
	if (levels) {
		snprintf(text, sizeof(text), "the %s at 0x%llx ",
			 scry_level_name(w.step[levels - 1].level), (unsigned long long)last);
		assert_says(text);
	}
}
