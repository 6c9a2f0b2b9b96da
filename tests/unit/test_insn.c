/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What an instruction accesses, as the agent finds out under KVM. */
#include <scry/view.h>

#include "../lib/test.h"
#include "agent/kvm/insn.h"
#include "protocol/bits.h"

#define R  SCRY_READ
#define W  SCRY_WRITE
#define RW (SCRY_READ | SCRY_WRITE)
#define DS 0x10000u		/* bases of segments */
#define SS 0x20000u
#define FS 0x30000u

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI };

struct expected {
	const char *what, *bytes;
	size_t len;
	struct {
		uint64_t gva, size;
		uint32_t access;
	} at[3];
};

#define E(what, bytes, ...) { what, bytes, sizeof(bytes) - 1, { __VA_ARGS__ } }

/* The registers are those of setup(). */
static const struct expected in_64bit[] = {
	E("mov (%rbx),%rax", "\x48\x8b\x03", { 0x5000, 8, R }),
	E("mov %eax,8(%rbx,%rcx,4)", "\x89\x44\x8b\x08", { 0x5014, 4, W }),
	E("mov %fs:(%rbx),%al", "\x64\x8a\x03", { FS + 0x5000, 1, R }),
	E("mov %ss:(%rbx),%al", "\x36\x8a\x03", { 0x5000, 1, R }),
	E("mov 0x10(%rip),%eax", "\x8b\x05\x10\x00\x00\x00", { 0x1016, 4, R }),
	E("mov (%ebx),%al, of 32 bits", "\x67\x8a\x03", { 0x5000, 1, R }),
	E("mov (%r8),%al", "\x41\x8a\x00", { 0xffff800000000000, 1, R }),
	E("mov (%r8d),%al", "\x67\x41\x8a\x00", { 0, 1, R }),
	E("lea (%rbx),%rax", "\x48\x8d\x03", { 0 }),
	E("add %rax,(%rbx)", "\x48\x01\x03", { 0x5000, 8, R }, { 0x5000, 8, W }),
	E("lock add %rax,(%rbx)", "\xf0\x48\x01\x03", { 0x5000, 8, RW }),
	E("xchg %al,(%rbx)", "\x86\x03", { 0x5000, 1, RW }),
	E("push %rax", "\x50", { 0x7ff8, 8, W }),
	E("push (%rbx)", "\xff\x33", { 0x5000, 8, R }, { 0x7ff8, 8, W }),
	E("call *(%rbx)", "\xff\x13", { 0x5000, 8, R }, { 0x7ff8, 8, W }),
	E("ret", "\xc3", { 0x8000, 8, R }),
	E("pop %rax", "\x58", { 0x8000, 8, R }),
	E("movsb", "\xa4", { 0x6000, 1, R }, { 0x6800, 1, W }),
	E("rep movsb", "\xf3\xa4", { 0x6000, 1, R }, { 0x6800, 1, W }),
	E("xlat", "\xd7", { 0x5021, 1, R }),
	E("movaps %xmm0,(%rbx)", "\x0f\x29\x03", { 0x5000, 16, W }),
	E("vmovdqu (%rbx),%ymm0", "\xc5\xfe\x6f\x03", { 0x5000, 32, R }),
	E("vpgatherdd %xmm1,(%rbx,%xmm2),%xmm0", "\xc4\xe2\x71\x90\x04\x13", { 0 }),
	E("int3", "\xcc", { 0 }),
	/* RDX is bit 100, RSI bit 0x6000, R9 bit -1. */
	E("bts %rdx,(%rbx)", "\x48\x0f\xab\x13", { 0x5008, 8, R }, { 0x5008, 8, W }),
	E("lock bts %edx,(%rbx)", "\xf0\x0f\xab\x13", { 0x500c, 4, RW }),
	E("bt %dx,(%rbx)", "\x66\x0f\xa3\x13", { 0x500c, 2, R }),
	E("btr %esi,(%rbx)", "\x0f\xb3\x33", { 0x5c00, 4, R }, { 0x5c00, 4, W }),
	E("btc %r9,(%rbx)", "\x4c\x0f\xbb\x0b", { 0x4ff8, 8, R }, { 0x4ff8, 8, W }),
	E("bt %r9d,(%rbx)", "\x44\x0f\xa3\x0b", { 0x4ffc, 4, R }),
	E("bts $100,(%rbx)", "\x48\x0f\xba\x2b\x64", { 0x5000, 8, R }, { 0x5000, 8, W }),
};

static const struct expected in_32bit[] = {
	E("mov (%ebx),%al", "\x8a\x03", { DS + 0x5000, 1, R }),
	E("mov (%ebp),%al", "\x8a\x45\x00", { SS + 0x9000, 1, R }),
	E("mov (%bx),%al", "\x67\x8a\x07", { DS + 0x5000, 1, R }),
	E("push %eax", "\x50", { SS + 0x7ffc, 4, W }),
	E("movsb", "\xa4", { DS + 0x6000, 1, R }, { 0x6800, 1, W }),
	E("bts %edx,(%ebx)", "\x0f\xab\x13", { DS + 0x500c, 4, R }, { DS + 0x500c, 4, W }),
};

static struct insn setup(bool code64)
{
	return (struct insn){
		.gpr = { [RAX] = 0xabcdef0000000021, [RCX] = 3, [RDX] = 100, [RBX] = 0x5000,
			 [RSP] = 0x8000, [RBP] = 0x9000, [RSI] = 0x6000, [RDI] = 0x6800,
			 [8] = 0xffff800000000000, [9] = UINT64_MAX },
		.rip = 0x1000,
		.system = { .efer = code64 ? EFER_LMA : 0, .cs = { .l = code64, .db = !code64 },
			    .ss = { .base = SS, .db = 1 }, .ds.base = DS, .fs.base = FS },
	};
}

static void expect(struct insn *insn, const struct expected *e)
{
	struct insn_access access[INSN_ACCESSES];
	unsigned count;

	if (!insn_decode(insn, (const uint8_t *)e->bytes, (unsigned)e->len))
		fail_msg("%s is not decoded", e->what);
	assert_int_equal(insn->is.length, e->len);
	count = insn_accesses(insn, access);
	for (unsigned i = 0; i < 3; i++) {
		if (!e->at[i].size) {
			if (count != i)
				fail_msg("%s: %u accesses, not %u", e->what, count, i);
			break;
		}
		if (i >= count || access[i].gva != e->at[i].gva || access[i].size != e->at[i].size ||
		    access[i].access != e->at[i].access)
			fail_msg("%s: access %u of %u is at %#llx, %llu bytes, %u", e->what, i, count,
				 (unsigned long long)access[i].gva, (unsigned long long)access[i].size,
				 access[i].access);
	}
}

static void test_64bit(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(in_64bit) / sizeof(in_64bit[0]); i++) {
		struct insn insn = setup(true);

		expect(&insn, &in_64bit[i]);
	}
}

static void test_32bit(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(in_32bit) / sizeof(in_32bit[0]); i++) {
		struct insn insn = setup(false);

		expect(&insn, &in_32bit[i]);
	}
}

/* No round is none, by the register's part that counts. */
static void test_repeated(void **state)
{
	static const struct expected none = E("rep movsb", "\xf3\xa4", { 0 }),
				     none32 = E("rep movsb by ECX", "\x67\xf3\xa4", { 0 });
	struct insn insn = setup(true);

	(void)state;
	insn.gpr[RCX] = UINT64_C(1) << 32;
	expect(&insn, &none32);
	insn.gpr[RCX] = 0;
	expect(&insn, &none);
	assert_true(insn_repeats(&insn));
}

/* Whatever bytes a guest has: an answer, and at most so many accesses. */
static void test_anything(void **state)
{
	struct insn_access access[INSN_ACCESSES];
	uint64_t random = 88172645463325252;
	uint8_t bytes[15];

	(void)state;
	for (unsigned n = 0; n < 50000; n++) {
		struct insn insn = setup(n & 1);

		for (unsigned i = 0; i < sizeof(bytes); i++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			bytes[i] = (uint8_t)random;
		}
		if (insn_decode(&insn, bytes, 1 + n % sizeof(bytes)))
			assert_in_range(insn_accesses(&insn, access), 0, INSN_ACCESSES);
	}
}

/* What has been decoded is remembered, but not for other bytes or another mode. */
static void test_again(void **state)
{
	static const uint8_t store[] = "\x48\x89\x03", load[] = "\x48\x8b\x03";
	struct insn insn = setup(true);

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		assert_true(insn_decode(&insn, store, 3));
		assert_int_equal(insn.is.length, 3);
		assert_int_equal(insn.operand[0].type, ZYDIS_OPERAND_TYPE_MEMORY);
	}
	assert_true(insn_decode(&insn, load, 3));
	assert_int_equal(insn.operand[1].type, ZYDIS_OPERAND_TYPE_MEMORY);
	insn.system = setup(false).system;
	assert_true(insn_decode(&insn, load, 3));
	assert_int_equal(insn.is.mnemonic, ZYDIS_MNEMONIC_DEC);
	assert_false(insn_decode(&insn, load, 0));
	assert_int_equal(insn.is.length, 0);
	assert_false(insn_decode(&insn, load, 0));
	assert_true(insn_decode(&insn, load, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_64bit),
		cmocka_unit_test(test_32bit),
		cmocka_unit_test(test_repeated),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
