/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Physical memory: regions, holes, edges, ROM, vectors, and a map that changes. */
#include <stdlib.h>

#include "lib/ram.h"
#include "unit.h"

/* A read over touching regions, mapped or not, must be what lies there. */
static void expect_read(struct scry_vm *vm, uint64_t gpa, size_t len)
{
	unsigned char *buf = malloc(len + 1);

	assert_non_null(buf);
	buf[len] = 0xa5;
	assert_ok(scry_read_phys(vm, gpa, buf, len));
	for (size_t i = 0; i < len; i++)
		assert_int_equal(buf[i], *fake_at(gpa + i));
	assert_int_equal(buf[len], 0xa5);
	free(buf);
}

static void expect_hole(struct scry_vm *vm, uint64_t gpa, size_t len, const char *says)
{
	unsigned char *buf = malloc(len);
	uint64_t value;

	assert_non_null(buf);
	memset(buf, 0, len);
	assert_error(SCRY_E_ADDRESS, scry_read_phys(vm, gpa, buf, len));
	assert_says(says);
	assert_error(SCRY_E_ADDRESS, scry_write_phys(vm, gpa, buf, len));
	assert_says(says);
	assert_int_equal(fake.writes, 0);
	if (len == 8)
		assert_error(SCRY_E_ADDRESS, scry_read_phys_u64(vm, gpa, &value));
	assert_null(scry_phys_ptr(vm, gpa, len));
	free(buf);
}

static void reads(void **state)
{
	struct scry_vm *vm = *state;

	expect_read(vm, 0, 1);
	expect_read(vm, 12345, 4096);
	expect_read(vm, RAM_GPA + RAM_SIZE - 1, 1);
	expect_read(vm, RAM_GPA + RAM_SIZE - 5, 10);
	expect_read(vm, SECOND_GPA + SECOND_SIZE - 3, 7);
	expect_read(vm, RAM_GPA + RAM_SIZE - 9, SECOND_SIZE + 18);
	expect_read(vm, RAM_GPA + RAM_SIZE - 9, SECOND_SIZE + FAR_SIZE + 9);
	expect_read(vm, ROM_GPA, ROM_SIZE);
	expect_read(vm, HIGH_GPA, HIGH_SIZE);
	expect_read(vm, TOP_GPA, TOP_SIZE);
	/* Nothing of nothing is fine, wherever. */
	assert_ok(scry_read_phys(vm, HOLE_GPA, NULL, 0));
	assert_ok(scry_write_phys(vm, HOLE_GPA, NULL, 0));
}

static void reads_of_8(void **state)
{
	static const uint64_t at[] = {
		0, 1, 4091, RAM_SIZE - 8, RAM_SIZE - 7, RAM_SIZE - 1, SECOND_GPA,
		FAR_GPA - 1, FAR_GPA, HOLE_GPA - 8, ROM_GPA, HIGH_GPA, HIGH_GPA + HIGH_SIZE - 8,
		TOP_GPA, TOP_GPA + TOP_SIZE - 8,
	};
	struct scry_vm *vm = *state;
	uint64_t value;

	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		unsigned char expected[8];

		for (unsigned n = 0; n < 8; n++)
			expected[n] = *fake_at(at[i] + n);
		assert_ok(scry_read_phys_u64(vm, at[i], &value));
		assert_memory_equal(&value, expected, 8);
	}
}

static void holes(void **state)
{
	struct scry_vm *vm = *state;

	expect_hole(vm, HOLE_GPA, 8, "0x620000");
	expect_hole(vm, HOLE_GPA - 4, 8, "0x620000");
	expect_hole(vm, RAM_SIZE - 4, SECOND_SIZE + FAR_SIZE + 5, "0x620000");
	expect_hole(vm, ROM_GPA - 1, 8, "0x7fffff");
	expect_hole(vm, ROM_GPA + ROM_SIZE, 1, "0x810000");
	expect_hole(vm, HIGH_GPA + HIGH_SIZE - 7, 8, "0x100100000");
	/* Past the end of all addresses. */
	expect_hole(vm, UINT64_MAX, 2, "end of the address space");
	expect_hole(vm, UINT64_MAX - 6, 8, "end of the address space");
	expect_hole(vm, HOLE_GPA, 1, "0x620000");
	assert_error(SCRY_E_ADDRESS, scry_read_phys(vm, RAM_GPA + 1, NULL, SIZE_MAX));
	assert_error(SCRY_E_ADDRESS, scry_write_phys(vm, RAM_GPA + 1, NULL, SIZE_MAX));
	assert_null(scry_phys_ptr(vm, RAM_GPA + 1, SIZE_MAX));
	assert_null(scry_phys_ptr(vm, HIGH_GPA + 1, SIZE_MAX));
}

static void pointers(void **state)
{
	struct scry_vm *vm = *state;

	/* The inline path serves the largest. */
	assert_int_equal(vm->head.ram->gpa, RAM_GPA);
	assert_int_equal(vm->head.ram->size, RAM_SIZE);
	assert_ptr_equal(scry_phys_ptr(vm, 100, 8), fake_at(100));
	assert_ptr_equal(scry_phys_ptr(vm, 0, RAM_SIZE), fake_at(0));
	assert_ptr_equal(scry_phys_ptr(vm, SECOND_GPA, SECOND_SIZE), fake_at(SECOND_GPA));
	assert_ptr_equal(scry_phys_ptr(vm, ROM_GPA + 5, 1), fake_at(ROM_GPA + 5));
	assert_ptr_equal(scry_phys_ptr(vm, HIGH_GPA, HIGH_SIZE), fake_at(HIGH_GPA));
	/* Over the seam of two mappings, though both are there. */
	assert_null(scry_phys_ptr(vm, RAM_SIZE - 4, 8));
	assert_says("0x600000");
	/* Memory, but not mapped. */
	assert_null(scry_phys_ptr(vm, FAR_GPA, 1));
	assert_says("not mapped");
}

static void writes(void **state)
{
	unsigned char buf[SECOND_SIZE + 32];
	struct scry_vm *vm = *state;

	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (unsigned char)(i * 7);
	assert_ok(scry_write_phys(vm, RAM_SIZE - 16, buf, sizeof(buf)));
	for (size_t i = 0; i < sizeof(buf); i++)
		assert_int_equal(*fake_at(RAM_SIZE - 16 + i), buf[i]);
	expect_read(vm, RAM_SIZE - 32, sizeof(buf) + 64);

	fake.writes = 0;
	assert_error(SCRY_E_REFUSED, scry_write_phys(vm, ROM_GPA + 4, buf, 4));
	assert_says("0x800004");
	assert_says("ROM");
	assert_int_equal(fake.writes, 0);
}

static void vectors(void **state)
{
	unsigned char a[16], b[4], c[8];
	struct scry_iov iov[] = {
		{ RAM_SIZE - 8, a, sizeof(a), 55 },
		{ HOLE_GPA, b, sizeof(b), 55 },
		{ HIGH_GPA, c, sizeof(c), 55 },
		{ FAR_GPA, NULL, 0, 55 },
	};
	struct scry_vm *vm = *state;

	assert_int_equal(scry_readv_phys(vm, iov, 4), 1);
	assert_int_equal(iov[0].status, 0);
	assert_int_equal(iov[1].status, SCRY_E_ADDRESS);
	assert_int_equal(iov[2].status, 0);
	assert_int_equal(iov[3].status, 0);
	assert_memory_equal(a, fake_at(RAM_SIZE - 8), 8);
	assert_memory_equal(a + 8, fake_at(SECOND_GPA), 8);
	assert_memory_equal(c, fake_at(HIGH_GPA), 8);

	memset(a, 1, sizeof(a));
	memset(c, 2, sizeof(c));
	iov[1].gpa = ROM_GPA;
	assert_int_equal(scry_writev_phys(vm, iov, 4), 1);
	assert_int_equal(iov[1].status, SCRY_E_REFUSED);
	assert_memory_equal(fake_at(SECOND_GPA), a + 8, 8);
	assert_memory_equal(fake_at(HIGH_GPA), c, 8);
	assert_int_equal(scry_readv_phys(vm, iov, 0), 0);

	fake.gone = 1;
	fake.life++;
	assert_error(SCRY_E_GONE, scry_readv_phys(vm, iov, 4));
	assert_error(SCRY_E_GONE, scry_writev_phys(vm, iov, 4));
}

/* Many pieces that no mapping reaches are few calls to the driver. */
static void vectors_gathered(void **state)
{
	struct scry_iov iov[150];
	unsigned char bytes[150][16];
	struct scry_vm *vm = *state;

	for (unsigned i = 0; i < 150; i++)
		iov[i] = (struct scry_iov){ FAR_GPA + i * 100, bytes[i], 16, 55 };
	iov[10].gpa = HOLE_GPA - 1;
	iov[20].gpa = FAR_GPA - 8;
	iov[30].gpa = HIGH_GPA;
	assert_int_equal(scry_readv_phys(vm, iov, 150), 1);
	assert_int_equal(fake.reads, 3);
	for (unsigned i = 0; i < 150; i++) {
		assert_int_equal(iov[i].status, i == 10 ? SCRY_E_ADDRESS : 0);
		for (unsigned n = 0; n < 16 && i != 10; n++)
			assert_int_equal(bytes[i][n], *fake_at(iov[i].gpa + n));
	}
	/* It ends in the midst of it. */
	fake.gone = 1;
	assert_error(SCRY_E_GONE, scry_readv_phys(vm, iov, 150));
	assert_error(SCRY_E_GONE, scry_read_phys(vm, FAR_GPA, bytes, 100));
}

static void map(void **state)
{
	struct scry_region region[FAKE_REGIONS + 1];
	struct scry_vm *vm = *state;

	memset(region, 0xee, sizeof(region));
	assert_int_equal(scry_memory_map(vm, NULL, 0), FAKE_REGIONS);
	assert_int_equal(scry_memory_map(vm, region, 2), FAKE_REGIONS);
	assert_memory_equal(region, fake.region, 2 * sizeof(region[0]));
	assert_int_equal(region[2].gpa, UINT64_C(0xeeeeeeeeeeeeeeee));
	assert_int_equal(scry_memory_map(vm, region, FAKE_REGIONS + 1), FAKE_REGIONS);
	assert_memory_equal(region, fake.region, sizeof(fake.region));
	assert_int_equal(fake.maps, 1);
}

/* The main region shrinks at its start, under another map. */
static void map_changes(void **state)
{
	void *before = scry_phys_ptr(*state, 0, 8);
	struct scry_vm *vm = *state;
	uint64_t value;

	fake.region[0].gpa = 0x1000;
	fake.region[0].size -= 0x1000;
	fake.life++;
	assert_error(SCRY_E_ADDRESS, scry_read_phys_u64(vm, 0, &value));
	assert_int_equal(fake.maps, 2);
	assert_ok(scry_read_phys_u64(vm, 0x1000, &value));
	assert_int_equal(value, fake_u64(0x1000));
	assert_ptr_equal(scry_phys_ptr(vm, 0x1000, 8), before);
	assert_int_equal(fake.maps, 2);

	fake.life++;
	assert_ok(scry_read_phys(vm, 0x1000, &value, 8));
	fake.life++;
	assert_non_null(scry_phys_ptr(vm, 0x1000, 8));
	fake.life++;
	assert_ok(scry_write_phys(vm, 0x1000, &value, 8));
	fake.life++;
	assert_int_equal(scry_memory_map(vm, NULL, 0), FAKE_REGIONS);
	assert_int_equal(fake.maps, 6);
}

static void map_never_settles(void **state)
{
	struct scry_vm *vm = *state;
	uint64_t value;

	fake.life++;
	fake.restless = 3;
	assert_ok(scry_read_phys_u64(vm, 0, &value));
	assert_int_equal(fake.maps, 5);
	fake.life++;
	fake.restless = 1000;
	assert_error(SCRY_E_TIMEOUT, scry_read_phys_u64(vm, 0, &value));
	assert_true(fake.maps < 100);
	fake.restless = 0;
	assert_ok(scry_read_phys_u64(vm, 0, &value));
}

static void nothing_mapped(void **state)
{
	struct scry_vm *vm = *state;
	uint64_t value;

	for (size_t i = 0; i < fake.regions; i++)
		fake.region[i].flags &= ~SCRY_REGION_MAPPED;
	fake.life++;
	assert_ok(scry_read_phys_u64(vm, 0, &value));
	assert_int_equal(value, fake_u64(0));
	assert_int_equal(fake.reads, 1);
	expect_read(vm, RAM_SIZE - 5, 10);
	assert_null(scry_phys_ptr(vm, 0, 1));

	/* And with no memory at all. */
	fake.regions = 0;
	fake.life++;
	assert_error(SCRY_E_ADDRESS, scry_read_phys_u64(vm, 0, &value));
	assert_null(scry_phys_ptr(vm, 0, 0));
	assert_error(SCRY_E_ADDRESS, scry_max_gfn(vm, &value));
	assert_int_equal(scry_memory_map(vm, NULL, 0), 0);
}

static void ended(void **state)
{
	struct scry_vm *vm = *state;
	uint64_t value;

	fake.gone = 1;
	fake.life++;
	assert_error(SCRY_E_GONE, scry_read_phys_u64(vm, 0, &value));
	assert_error(SCRY_E_GONE, scry_read_phys(vm, 0, &value, 8));
	assert_error(SCRY_E_GONE, scry_write_phys(vm, 0, &value, 8));
	assert_null(scry_phys_ptr(vm, 0, 8));
	assert_says("ended");
	assert_error(SCRY_E_GONE, scry_max_gfn(vm, &value));
	assert_error(SCRY_E_GONE, scry_memory_map(vm, NULL, 0));
	assert_int_equal(fake.writes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(reads, unit_open, unit_close),
		cmocka_unit_test_setup_teardown(reads_of_8, unit_open, unit_close),
		cmocka_unit_test_setup_teardown(holes, unit_open, unit_close),
		cmocka_unit_test_setup_teardown(pointers, unit_open, unit_close),
		cmocka_unit_test_setup_teardown(writes, unit_open, unit_close),
		cmocka_unit_test_setup_teardown(vectors, unit_open, unit_close),
		cmocka_unit_test_setup_teardown(vectors_gathered, unit_open, unit_close),
		cmocka_unit_test_setup_teardown(map, unit_open, unit_close),
		cmocka_unit_test_setup_teardown(map_changes, unit_open, unit_close),
		cmocka_unit_test_setup_teardown(map_never_settles, unit_open, unit_close),
		cmocka_unit_test_setup_teardown(nothing_mapped, unit_open, unit_close),
		cmocka_unit_test_setup_teardown(ended, unit_open, unit_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
