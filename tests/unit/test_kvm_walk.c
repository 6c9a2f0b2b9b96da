/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The agent's walks of page tables under KVM, in every paging mode. */
#include "../lib/test.h"
#include "agent/kvm/walk.h"
#include "protocol/bits.h"

#define MEMORY 0x10000u
#define P      1u
#define W      2u
#define U      4u
#define A      32u
#define D      64u
#define PS     128u
#define NX     (UINT64_C(1) << 63)
#define ROOT   0x1000u

static unsigned char memory[MEMORY];

/* In the agent: of the view that the guest is in. */
bool seen_read(uint64_t gpa, void *data, unsigned len)
{
	if (gpa >= MEMORY || len > MEMORY - gpa)
		return false;
	memcpy(data, memory + gpa, len);
	return true;
}

static void set(uint64_t gpa, uint64_t entry, size_t size)
{
	assert_true(gpa + size <= MEMORY);
	memcpy(memory + gpa, &entry, size);
}

static void expect(const struct kvm_sregs *s, uint64_t gva, uint64_t gpa, bool user, unsigned steps)
{
	struct walk w;

	assert_true(walk(s, ROOT | 0x18, gva, &w));
	assert_int_equal(w.gpa, gpa);
	assert_int_equal(w.user, user);
	assert_int_equal(w.steps, steps);
}

/* The last entry read lies at last; 0 = none was. */
static void expect_none(const struct kvm_sregs *s, uint64_t gva, uint64_t last)
{
	struct walk w;

	assert_false(walk(s, ROOT, gva, &w));
	assert_int_equal(w.steps ? w.entry[w.steps - 1] : 0, last);
}

static void test_off(void **state)
{
	const struct kvm_sregs s = { .cr0 = CR0_PE };

	(void)state;
	expect(&s, 0x12345678, 0x12345678, true, 0);
}

static void test_32bit(void **state)
{
	struct kvm_sregs s = { .cr0 = CR0_PE | CR0_PG };
	struct walk w;

	(void)state;
	memset(memory, 0, sizeof(memory));
	set(ROOT + 4 * 3, 0x2000 | P | U, 4);
	set(0x2000 + 4 * 5, 0xfffff000 | P | U, 4);
	expect(&s, 0x00c05678, 0xfffff678, true, 2);
	assert_true(walk(&s, ROOT, 0x00c05678, &w));
	assert_int_equal(w.entry[0], ROOT + 12);
	assert_int_equal(w.entry[1], 0x2000 + 20);
	assert_int_equal(w.size, 4);
	set(0x2000 + 4 * 5, 0x3000 | P, 4);
	expect(&s, 0x00c05678, 0x3678, false, 2);
	expect_none(&s, 0x00c06000, 0x2000 + 24);
	expect_none(&s, UINT64_C(0x100c05678), 0);
	/* A page of 4 MiB, further up than 4 GiB, where the guest has those. */
	set(ROOT + 4 * 3, 0x01400000 | 3 << 13 | P | U | PS, 4);
	expect_none(&s, 0x00c05678, 0x1406000 + 20);
	s.cr4 = CR4_PSE;
	expect(&s, 0x00c05678, UINT64_C(0x301405678), true, 1);
}

static void test_pae(void **state)
{
	const struct kvm_sregs s = { .cr0 = CR0_PE | CR0_PG, .cr4 = CR4_PAE };
	struct walk w;

	(void)state;
	memset(memory, 0, sizeof(memory));
	set(ROOT + 0x20 + 8 * 2, 0x2000 | P, 8);
	set(0x2000, 0x3000 | P | U | NX, 8);
	set(0x2008, UINT64_C(0x123400000) | P | U | PS, 8);
	set(0x3008, UINT64_C(0x987654000) | P | U | NX, 8);
	/* The root is aligned to 32 bytes, and its entry is a register. */
	assert_true(walk(&s, ROOT + 0x38, 0x80001234, &w));
	assert_int_equal(w.gpa, UINT64_C(0x987654234));
	assert_true(w.user);
	assert_int_equal(w.steps, 2);
	assert_int_equal(w.entry[0], 0x2000);
	assert_int_equal(w.entry[1], 0x3008);
	assert_true(walk(&s, ROOT + 0x20, 0x80212345, &w));
	assert_int_equal(w.gpa, UINT64_C(0x123412345));
	assert_int_equal(w.steps, 1);
	assert_false(walk(&s, ROOT + 0x20, 0xc0000000, &w));
	assert_int_equal(w.steps, 0);
}

static void test_4level(void **state)
{
	const struct kvm_sregs s = { .cr0 = CR0_PE | CR0_PG, .cr4 = CR4_PAE,
				     .efer = EFER_LME | EFER_LMA };

	(void)state;
	memset(memory, 0, sizeof(memory));
	set(ROOT + 8 * 256, 0x2000 | P | U, 8);
	set(0x2000, 0x3000 | P | U | NX, 8);
	set(0x2008, UINT64_C(0x0040000000) | P | U | PS, 8);
	set(0x3000, 0x4000 | P, 8);
	set(0x3008, 0x5c00000 | P | U | PS, 8);
	set(0x4008, UINT64_C(0xffffffffff000) | P | U, 8);
	set(0x4010, MEMORY | P | U, 8);
	expect(&s, 0xffff800000001234, UINT64_C(0xffffffffff234), false, 4);
	expect(&s, 0xffff800000212345, 0x5c12345, true, 3);
	expect(&s, 0xffff800045678901, 0x45678901, true, 2);
	expect_none(&s, 0xffff800000003000, 0x4018);
	expect_none(&s, UINT64_C(0x800000001234), 0);
	expect_none(&s, 0, ROOT);
	/* A table where there is no memory, and itself. */
	set(ROOT, MEMORY | P, 8);
	expect_none(&s, 0x1000, MEMORY);
	set(ROOT, ROOT | P, 8);
	expect(&s, 0, ROOT, false, 4);
}

static void test_5level(void **state)
{
	const struct kvm_sregs s = { .cr0 = CR0_PE | CR0_PG, .cr4 = CR4_PAE | CR4_LA57,
				     .efer = EFER_LME | EFER_LMA };

	(void)state;
	memset(memory, 0, sizeof(memory));
	set(ROOT + 8 * 1, 0x2000 | P | U, 8);
	set(0x2000, 0x3000 | P | U, 8);
	set(0x3000, 0x40000000 | P | U | PS, 8);
	expect(&s, UINT64_C(0x1000000001234), 0x40001234, true, 3);
	expect_none(&s, UINT64_C(0x100000000000000), 0);
	expect_none(&s, UINT64_C(0xff00000000000000), ROOT + 8 * 256);
}

static void expect_bits(const struct kvm_sregs *s, uint64_t gva, bool writable, bool accessed, bool dirty)
{
	struct walk w;

	assert_true(walk(s, ROOT, gva, &w) && w.mapped);
	assert_int_equal(w.writable, writable);
	assert_int_equal(w.accessed, accessed);
	assert_int_equal(w.dirty, dirty);
}

/* What a write needs of each entry, and which bits of the last one count. */
static void test_bits(void **state)
{
	const struct kvm_sregs off = { .cr0 = CR0_PE };
	const struct kvm_sregs s = { .cr0 = CR0_PE | CR0_PG, .cr4 = CR4_PAE,
				     .efer = EFER_LME | EFER_LMA };
	const uint64_t all = P | W | U | A;

	(void)state;
	memset(memory, 0, sizeof(memory));
	expect_bits(&off, 0x1234, true, true, true);
	set(ROOT, 0x2000 | all, 8);
	set(0x2000, 0x3000 | all, 8);
	set(0x3000, 0x4000 | all, 8);
	set(0x4000, 0x5000 | all | D, 8);
	expect_bits(&s, 0, true, true, true);
	set(0x4000, 0x5000 | all, 8);
	expect_bits(&s, 0, true, true, false);
	for (uint64_t table = ROOT; table <= 0x4000; table += 0x1000) {
		set(table, (table + 0x1000) | P | A | D, 8);
		expect_bits(&s, 0, false, true, table == 0x4000);
		set(table, (table + 0x1000) | P | W | D, 8);
		expect_bits(&s, 0, true, false, table == 0x4000);
		set(table, (table + 0x1000) | all, 8);
	}
}

/* PAE's registers have no such bits. */
static void test_bits_pae(void **state)
{
	const struct kvm_sregs s = { .cr0 = CR0_PE | CR0_PG, .cr4 = CR4_PAE };

	(void)state;
	memset(memory, 0, sizeof(memory));
	set(ROOT, 0x2000 | P, 8);
	set(0x2000, 0x400000 | P | W | A | D | PS, 8);
	expect_bits(&s, 0x1234, true, false, true);	/* the first entry is a register's */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_off),    cmocka_unit_test(test_32bit),
		cmocka_unit_test(test_pae),    cmocka_unit_test(test_4level),
		cmocka_unit_test(test_5level), cmocka_unit_test(test_bits),
		cmocka_unit_test(test_bits_pae),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
