/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The agent's tree of a view's traps and remaps, against a plain list of frames. */
#include <stdlib.h>

#include "../lib/test.h"
#include "agent/memory/slat.h"

#define FRAMES 600

/* Frames around the places where the tree divides, and what they should have. */
struct model {
	uint64_t gfn[FRAMES], traps[FRAMES], page[FRAMES];
};

static uint64_t random_gfn(void)
{
	static const unsigned shifts[] = { 0, 9, 10, 19, 20, 29, 30, 39 };
	uint64_t gfn = (UINT64_C(1) << shifts[rand() % 8]) * (1 + (unsigned)rand() % 3);

	return (gfn + (unsigned)rand() % 8 - 4) & SLAT_GFNS;
}

static void model_init(struct model *m)
{
	for (int i = 0; i < FRAMES; i++)
		m->gfn[i] = i ? random_gfn() : SLAT_GFNS;
	memset(m->traps, 0, sizeof(m->traps));
	memset(m->page, 0, sizeof(m->page));
}

static void assert_alike(const struct slat *slat, const struct model *m)
{
	for (int i = 0; i < FRAMES; i++) {
		uint64_t entry = slat_find(slat, m->gfn[i]);

		assert_int_equal(entry & SLAT_TRAPS, m->traps[i]);
		assert_int_equal(entry & SLAT_REMAPPED, m->page[i] ? SLAT_REMAPPED : 0);
		if (m->page[i])
			assert_int_equal(entry & SLAT_PAGE, m->page[i] & SLAT_PAGE);
	}
}

static void protect_some(struct slat *slat, struct model *m)
{
	uint64_t first = m->gfn[rand() % FRAMES], last = m->gfn[rand() % FRAMES];
	uint32_t traps = (uint32_t)rand() % 8;

	if (first > last || rand() % 4 == 0)
		last = first;
	if (rand() % 50 == 0) {
		first = 0;
		last = SLAT_GFNS;
	}
	assert_int_equal(slat_protect(slat, first, last, traps), 0);
	for (int i = 0; i < FRAMES; i++)
		if (m->gfn[i] >= first && m->gfn[i] <= last)
			m->traps[i] = traps;
}

static void remap_one(struct slat *slat, struct model *m)
{
	uint64_t gfn = m->gfn[rand() % FRAMES], page = m->gfn[rand() % FRAMES] << 12;

	assert_int_equal(slat_remap(slat, gfn, page), 0);
	for (int i = 0; i < FRAMES; i++)
		if (m->gfn[i] == gfn)
			m->page[i] = page >> 12 == gfn ? 0 : page | SLAT_REMAPPED;
}

static void test_against_list(void **state)
{
	static struct model m;
	struct slat slat = { 0 }, copy = { 0 };

	(void)state;
	for (int round = 0; round < 20; round++) {
		model_init(&m);
		for (int i = 0; i < 300; i++) {
			if (rand() % 3)
				protect_some(&slat, &m);
			else
				remap_one(&slat, &m);
			assert_alike(&slat, &m);
		}
		assert_int_equal(slat_copy(&copy, &slat), 0);
		slat_clear(&slat);
		assert_alike(&copy, &m);
		slat_clear(&copy);
		assert_int_equal(slat_find(&copy, 5), 0);
	}
}

/* A range costs what its ends cost. */
static void test_cost(void **state)
{
	struct slat slat = { 0 };

	(void)state;
	assert_int_equal(slat_protect(&slat, 0, SLAT_GFNS, 2), 0);
	assert_int_equal(slat.nodes, 0);
	assert_int_equal(slat_protect(&slat, 12345, SLAT_GFNS - 12345, 4), 0);
	assert_true(slat.nodes <= 8);
	slat_clear(&slat);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_list),
		cmocka_unit_test(test_cost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
