/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Virtual memory, and the rule under which translations are cached. */
#include <pthread.h>
#include <stdlib.h>

#include "tables.h"

#define GVA   UINT64_C(0x00007f1234560000)	/* 16 pages of 4 KiB */
#define LARGE UINT64_C(0xffff888000000000)	/* 2 MiB pages over all of the largest RAM */
#define FAR_PAGE UINT64_C(0x0000123400000000)	/* its table is in memory that is not mapped */
#define PAGES 16
#define MIB2  UINT64_C(0x200000)

static struct scry_vm *vm;
static struct scry_as *as;
static uint64_t root;

/* Pages of GVA lie far apart, in falling order: nothing that crosses a page is together. */
static uint64_t page_of(unsigned i)
{
	return 0x400000 - i * UINT64_C(0x3000);
}

static void set_page(uint64_t gva, uint64_t gpa)
{
	entry_set(root, 4, gva, 1, gpa | PTE_PWU, PTE_PWU);
}

static int setup(void **state)
{
	if (unit_open(state) < 0)
		return -1;
	vm = *state;
	tables_reset();
	root = table_new();
	for (unsigned i = 0; i < PAGES; i++)
		set_page(GVA + i * 4096, page_of(i));
	for (uint64_t gpa = 0; gpa < RAM_SIZE; gpa += MIB2)
		entry_set(root, 4, LARGE + gpa, 2, gpa | PTE_PWU | PTE_PS, PTE_PWU);
	as = as_new(vm, SCRY_PAGING_4LEVEL, root);
	return 0;
}

static int teardown(void **state)
{
	scry_as_free(as);
	return unit_close(state);
}

static void expect_u64(uint64_t gva, uint64_t expected)
{
	uint64_t value = ~expected, sum = ~expected;

	assert_ok(scry_read_virt_u64(as, gva, &value));
	assert_int_equal(value, expected);
	assert_ok(scry_read_virt(as, gva, &sum, 8));
	assert_int_equal(sum, expected);
}

/* The bytes at gva by a walk for each. */
static void expect_bytes(uint64_t gva, size_t len)
{
	unsigned char *buf = malloc(len);

	assert_non_null(buf);
	assert_ok(scry_read_virt(as, gva, buf, len));
	for (size_t i = 0; i < len; i++) {
		uint64_t gpa;

		assert_ok(scry_translate(as, gva + i, &gpa));
		assert_int_equal(buf[i], *fake_at(gpa));
	}
	free(buf);
}

static void all_reads(void)
{
	expect_u64(GVA, fake_u64(page_of(0)));
	expect_u64(GVA + 4096 + 4088, fake_u64(page_of(1) + 4088));
	for (unsigned i = 1; i < 8; i++) {
		uint64_t expected, gva = GVA + 4096 * 3 - i;

		memcpy(&expected, fake_at(page_of(2) + 4096 - i), i);
		memcpy((char *)&expected + i, fake_at(page_of(3)), 8 - i);
		expect_u64(gva, expected);
	}
	expect_bytes(GVA, PAGES * 4096);
	expect_bytes(GVA + 77, 3 * 4096);
	expect_bytes(LARGE, 64);
	expect_bytes(LARGE + MIB2 - 4, 8);
	expect_bytes(LARGE + MIB2 - 1000, 5000);
	expect_u64(LARGE + MIB2 - 8, fake_u64(MIB2 - 8));
	expect_u64(LARGE + MIB2 - 7, fake_u64(MIB2 - 7));
	expect_u64(LARGE + 3 * MIB2 - 8, fake_u64(3 * MIB2 - 8));
	assert_ok(scry_read_virt(as, 1, NULL, 0));
}

/* The same answers, running and paused, with an empty cache and a full one. */
static void reads(void **state)
{
	(void)state;
	all_reads();
	assert_ok(scry_pause(vm));
	all_reads();
	all_reads();
	assert_ok(scry_resume(vm));
	all_reads();
}

static void expect_not_mapped(uint64_t gva, size_t len, const char *says)
{
	unsigned char *buf = calloc(1, len);
	uint64_t value;

	assert_non_null(buf);
	fake.writes = 0;
	assert_error(SCRY_E_NOTMAPPED, scry_read_virt(as, gva, buf, len));
	assert_says(says);
	assert_error(SCRY_E_NOTMAPPED, scry_write_virt(as, gva, buf, len));
	assert_says(says);
	assert_int_equal(fake.writes, 0);
	if (len == 8)
		assert_error(SCRY_E_NOTMAPPED, scry_read_virt_u64(as, gva, &value));
	free(buf);
}

static void not_mapped(void **state)
{
	uint64_t value = 0;

	(void)state;
	for (int paused = 0; paused < 2; paused++) {
		if (paused)
			assert_ok(scry_pause(vm));
		expect_not_mapped(GVA + PAGES * 4096, 8, "0x7f1234570000");
		expect_not_mapped(GVA + PAGES * 4096 - 4, 8, "0x7f1234570000");
		expect_not_mapped(GVA - 1, 8, "0x7f123455ffff");
		expect_not_mapped(GVA, PAGES * 4096 + 1, "0x7f1234570000");
		expect_not_mapped(UINT64_C(0x800000000000), 8, "not canonical");
		/* The empty slots of the cache hold no address of their own. */
		expect_not_mapped(0, 8, "not present");
		expect_not_mapped(4096, 8, "not present");
		expect_not_mapped(MIB2, 8, "not present");
		expect_not_mapped(UINT64_MAX - 7, 8, "not present");
		expect_not_mapped(UINT64_MAX - 3, 8, "end of the address space");
		expect_not_mapped(UINT64_MAX, 2, "end of the address space");
	}
	/* Mapped, but to a hole. */
	set_page(0, HOLE_GPA);
	assert_error(SCRY_E_ADDRESS, scry_read_virt_u64(as, 0, &value));
	assert_error(SCRY_E_ADDRESS, scry_write_virt(as, 0, &value, 8));
	set_page(4096, ROM_GPA);
	assert_error(SCRY_E_REFUSED, scry_write_virt(as, 4096, &value, 8));
}

/* The first and the last 8 bytes of all, cached and not. */
static void ends(void **state)
{
	(void)state;
	set_page(0, 0x7000);
	set_page(UINT64_MAX - 4095, 0x8000);
	assert_ok(scry_pause(vm));
	for (int i = 0; i < 2; i++) {
		expect_u64(0, fake_u64(0x7000));
		expect_u64(UINT64_MAX - 7, fake_u64(0x8ff8));
		expect_bytes(UINT64_MAX - 4095, 4096);
	}
}

static void writes(void **state)
{
	unsigned char buf[3 * 4096], back[sizeof(buf)];

	(void)state;
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (unsigned char)(i * 13 + 5);
	assert_ok(scry_write_virt(as, GVA + 4096 - 100, buf, sizeof(buf)));
	assert_memory_equal(fake_at(page_of(0) + 4096 - 100), buf, 100);
	assert_memory_equal(fake_at(page_of(1)), buf + 100, 4096);
	assert_ok(scry_read_virt(as, GVA + 4096 - 100, back, sizeof(back)));
	assert_memory_equal(buf, back, sizeof(buf));
	/* No permission is asked: the page is read-only to the guest. */
	entry_set(root, 4, GVA, 1, page_of(0) | PTE_P, PTE_P);
	assert_ok(scry_write_virt(as, GVA, buf, 8));
	assert_memory_equal(fake_at(page_of(0)), buf, 8);
	assert_ok(scry_write_virt(as, 5, NULL, 0));
}

/* A running guest that changes its tables is followed at once. */
static void nothing_cached_while_running(void **state)
{
	(void)state;
	assert_ok(scry_vcpu_pause(vm, 0));
	assert_ok(scry_vcpu_pause(vm, 2));
	for (unsigned i = 0; i < 4; i++) {
		set_page(GVA, page_of(i));
		expect_u64(GVA, fake_u64(page_of(i)));
	}
	assert_ok(scry_vcpu_resume(vm, 0));
	assert_ok(scry_vcpu_resume(vm, 2));
}

/* Where the guest's tables put GVA now. */
static uint64_t moved_to;

/* Is the translation of GVA cached?  Shown by moving its page behind the library's back. */
static int is_cached(void)
{
	uint64_t before, after;

	assert_ok(scry_read_virt_u64(as, GVA, &before));
	moved_to = page_of(before == fake_u64(page_of(0)) ? 5 : 0);
	set_page(GVA, moved_to);
	assert_ok(scry_read_virt_u64(as, GVA, &after));
	if (after == before)
		return 1;
	assert_int_equal(after, fake_u64(moved_to));
	return 0;
}

/*
 * Cache a translation, make it stale, then do `step`: it must not be used
 * again, not even when the cache is in use again for another page.
 */
static void expect_ended_by(void (*step)(void))
{
	assert_true(is_cached());
	step();
	expect_u64(GVA + 2 * 4096, fake_u64(page_of(2)));
	expect_u64(GVA, fake_u64(moved_to));
}

static void write_far_away(void)
{
	assert_ok(scry_write_phys(vm, HIGH_GPA, "x", 1));
}

static void write_virtual(void)
{
	assert_ok(scry_write_virt(as, GVA + 4096, "x", 1));
}

static void resume_and_pause(void)
{
	assert_ok(scry_resume(vm));
	assert_ok(scry_pause(vm));
}

static void step_life(void)
{
	fake.life++;
}

static void cached_while_paused(void **state)
{
	(void)state;
	assert_false(is_cached());
	assert_ok(scry_pause(vm));
	assert_true(is_cached());
	expect_ended_by(write_far_away);
	expect_ended_by(write_virtual);
	expect_ended_by(resume_and_pause);
	expect_ended_by(step_life);
	assert_true(is_cached());
	assert_ok(scry_resume(vm));
	expect_u64(GVA, fake_u64(moved_to));
	assert_false(is_cached());
}

static void one_vcpu_let_go(void)
{
	assert_ok(scry_vcpu_resume(vm, 1));
	assert_ok(scry_vcpu_pause(vm, 1));
}

/* Each vCPU paused for itself is as good as the VM paused. */
static void cached_while_each_is_paused(void **state)
{
	(void)state;
	for (unsigned i = 0; i < FAKE_VCPUS; i++) {
		assert_false(is_cached());
		assert_ok(scry_vcpu_pause(vm, i));
	}
	assert_true(is_cached());
	expect_ended_by(one_vcpu_let_go);
	/* Counts are no end: the vCPU stays stopped. */
	assert_ok(scry_pause(vm));
	assert_ok(scry_vcpu_resume(vm, 1));
	assert_true(is_cached());
	assert_ok(scry_resume(vm));
	expect_u64(GVA, fake_u64(moved_to));
	assert_false(is_cached());
}

static void move_on(void)
{
	resume_and_pause();
	set_page(FAR_PAGE, page_of(5));
}

static void write_on(void)
{
	set_page(FAR_PAGE, page_of(5));
	write_far_away();
}

/* The pause ends, or memory is written, in the middle of a walk: it is not cached. */
static void ended_during_a_walk(void **state)
{
	void (*const step[])(void) = { move_on, write_on };
	uint64_t value;

	(void)state;
	entry_set(root, 4, FAR_PAGE, 2, FAR_GPA | PTE_PWU, PTE_PWU);
	assert_ok(scry_pause(vm));
	for (int i = 0; i < 2; i++) {
		set_page(FAR_PAGE, page_of(0));
		write_far_away();
		fake.on_read = step[i];
		assert_ok(scry_read_virt_u64(as, FAR_PAGE, &value));
		assert_int_equal(value, fake_u64(page_of(0)));
		expect_u64(FAR_PAGE, fake_u64(page_of(5)));
	}
}

/* The registers of a running vCPU are read by stopping it: that is no pause of the VM. */
static void not_cached_by_register_calls(void **state)
{
	struct scry_regs regs;

	(void)state;
	assert_ok(scry_vcpu_pause(vm, 0));
	assert_ok(scry_vcpu_pause(vm, 1));
	assert_ok(scry_regs_get(vm, 2, &regs));
	assert_false(is_cached());
}

/* Two pages of one slot push each other out, and are never mistaken. */
static void slots_collide(void **state)
{
	const uint64_t other = GVA + SCRY_TLB_4K * UINT64_C(4096);
	const uint64_t other_large = LARGE + SCRY_TLB_2M * MIB2;

	(void)state;
	set_page(other, page_of(9));
	entry_set(root, 4, other_large, 2, MIB2 | PTE_PWU | PTE_PS, PTE_PWU);
	assert_ok(scry_pause(vm));
	for (int i = 0; i < 3; i++) {
		expect_u64(GVA, fake_u64(page_of(0)));
		expect_u64(other, fake_u64(page_of(9)));
		expect_u64(LARGE, fake_u64(0));
		expect_u64(other_large, fake_u64(MIB2));
	}
}

/* Large pages whose memory is only in part there, or not aligned in its region. */
static void large_pages_in_part(void **state)
{
	const uint64_t huge = UINT64_C(0xffffc00000000000);
	uint64_t value;

	(void)state;
	entry_set(root, 4, huge, 3, PTE_PWU | PTE_PS, PTE_PWU);
	entry_set(root, 4, LARGE + RAM_SIZE, 2, RAM_SIZE | PTE_PWU | PTE_PS, PTE_PWU);
	assert_ok(scry_pause(vm));
	for (int i = 0; i < 2; i++) {
		expect_u64(huge + 100, fake_u64(100));
		expect_u64(huge + 2 * MIB2 + 100, fake_u64(2 * MIB2 + 100));
		expect_bytes(huge + RAM_SIZE - 5000, 10000);
		expect_u64(LARGE + RAM_SIZE, fake_u64(SECOND_GPA));
		expect_u64(huge + FAR_GPA, fake_u64(FAR_GPA));
		assert_error(SCRY_E_ADDRESS, scry_read_virt_u64(as, huge + HOLE_GPA, &value));
		assert_error(SCRY_E_ADDRESS, scry_read_virt_u64(as, huge + HOLE_GPA - 4, &value));
	}
}

/* The map changes under a cache whose walks read no table. */
static void map_changes_without_paging(void **state)
{
	struct scry_as *off = as_new(vm, SCRY_PAGING_OFF, 0);
	uint64_t value;

	(void)state;
	assert_ok(scry_pause(vm));
	assert_ok(scry_read_virt_u64(off, 0x5000, &value));
	fake.region[0].gpa = 0x1000;
	fake.region[0].size -= 0x1000;
	fake.life++;
	for (int i = 0; i < 2; i++) {
		assert_ok(scry_read_virt_u64(off, 0x5000, &value));
		assert_int_equal(value, fake_u64(0x5000));
	}
	scry_as_free(off);
}

static void ended(void **state)
{
	struct scry_walk w;
	uint64_t value;

	(void)state;
	for (int paused = 0; paused < 2; paused++) {
		if (paused) {
			fake.gone = 0;
			assert_ok(scry_pause(vm));
			expect_u64(GVA, fake_u64(page_of(0)));
		}
		fake.gone = 1;
		fake.life++;
		assert_error(SCRY_E_GONE, scry_read_virt_u64(as, GVA, &value));
		assert_error(SCRY_E_GONE, scry_read_virt(as, GVA, &value, 8));
		assert_error(SCRY_E_GONE, scry_write_virt(as, GVA, &value, 8));
		assert_error(SCRY_E_GONE, scry_translate(as, GVA, &value));
		assert_error(SCRY_E_GONE, scry_walk(as, GVA, &w));
	}
}

/* One thread moves the page, pauses and lets go: step i is done when `moves` is i. */
#define MOVES 20000
static _Atomic unsigned moves;

static void *move_pages(void *arg)
{
	for (unsigned i = 1; i <= MOVES; i++) {
		set_page(GVA, page_of(i % PAGES));
		scry_pause(vm);
		scry_resume(vm);
		moves = i;
	}
	return arg;
}

/* The other's reads find the page of a step that is not older than their start. */
static void resumed_by_another_thread(void **state)
{
	pthread_t thread;

	(void)state;
	moves = 0;
	for (unsigned i = 0; i < PAGES; i++)
		fake_set_u64(page_of(i), i);
	assert_ok(pthread_create(&thread, NULL, move_pages, NULL));
	while (moves < MOVES) {
		unsigned start = moves, end;
		uint64_t value;

		assert_ok(scry_read_virt_u64(as, GVA, &value));
		end = moves + 1;
		assert_true((value - start) % PAGES <= end - start);
	}
	assert_ok(pthread_join(thread, NULL));
	expect_u64(GVA, MOVES % PAGES);
}

#define unit(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit(reads),
		unit(not_mapped),
		unit(ends),
		unit(writes),
		unit(nothing_cached_while_running),
		unit(cached_while_paused),
		unit(cached_while_each_is_paused),
		unit(ended_during_a_walk),
		unit(not_cached_by_register_calls),
		unit(slots_collide),
		unit(large_pages_in_part),
		unit(map_changes_without_paging),
		unit(ended),
		unit(resumed_by_another_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
