/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Which instructions the agent sees, whatever comes before their opcode. */
#include "../lib/test.h"
#include "agent/event/decode.h"

struct encoding {
	const char *bytes;
	size_t len;
	enum scry_event_kind kind;
	unsigned number, reg, lock;
};

#define E(text, ...) { text, sizeof(text) - 1, __VA_ARGS__ }
#define N(text) E(text, 0, 0, 0, 0)

static const struct encoding known[] = {
	E("\x0f\x22\xd8", SCRY_EVENT_CR_WRITE, 3, 0, 0),
	E("\x41\x0f\x22\xdf", SCRY_EVENT_CR_WRITE, 3, 15, 0),
	E("\x44\x0f\x20\xc1", SCRY_EVENT_CR_READ, 8, 1, 0),
	E("\xf0\x0f\x22\xc0", SCRY_EVENT_CR_WRITE, 0, 0, 1),
	E("\xf0\x0f\x22\xd8", SCRY_EVENT_CR_WRITE, 3, 0, 1),
	E("\x48\x2e\x0f\x22\xd8", SCRY_EVENT_CR_WRITE, 3, 0, 0),
	E("\x0f\xa2", SCRY_EVENT_CPUID, 0, 0, 0),
	E("\xf0\x0f\xa2", SCRY_EVENT_CPUID, 0, 0, 1),
	E("\x48\x48\x0f\xa2", SCRY_EVENT_CPUID, 0, 0, 0),
	E("\x48\x66\x0f\x30", SCRY_EVENT_MSR_WRITE, 0, 0, 0),
	E("\x66\xf3\x2e\x64\x0f\x32", SCRY_EVENT_MSR_READ, 0, 0, 0),
	E("\xcc", SCRY_EVENT_INT3, 0, 0, 0),
	E("\xcd\x03", SCRY_EVENT_INT3, 0, 0, 0),
	E("\x0f\x23\xf8", SCRY_EVENT_DR_WRITE, 7, 0, 0),
	E("\x0f\x01\x10", SCRY_EVENT_DESCRIPTOR, SCRY_TABLE_GDTR, 0, 0),
	E("\x0f\x01\x0d\x00\x00\x00\x00", SCRY_EVENT_DESCRIPTOR, SCRY_TABLE_IDTR, 0, 0),
	E("\x0f\x00\xd0", SCRY_EVENT_DESCRIPTOR, SCRY_TABLE_LDTR, 0, 0),
	E("\x0f\x00\xd8", SCRY_EVENT_DESCRIPTOR, SCRY_TABLE_TR, 0, 0),
	E("\x0f\x01\xc1", SCRY_EVENT_HYPERCALL, 0, 0, 0),
	E("\x0f\x01\xd9", SCRY_EVENT_HYPERCALL, 0, 0, 0),
	E("\x0f\x01\xd1", SCRY_EVENT_XSETBV, 0, 0, 0),
	E("\x0f\x01\xf9", SCRY_EVENT_RDTSC, 0, 0, 0),
	E("\x0f\x01\x38", SCRY_EVENT_INVLPG, 0, 0, 0),
	E("\x0f\x05", SCRY_EVENT_SYSCALL, 0, 0, 0),
	E("\xf4", SCRY_EVENT_HLT, 0, 0, 0),
	E("\xe4\x08", SCRY_EVENT_IO, 8, 0, 0),
	E("\xf3\x6e", SCRY_EVENT_IO, 0, 0, 0),
};

/* INC, MOV, XGETBV, VMRUN, INT 4, MOV CR1, MOV DR8, VERR, and parts of instructions. */
static const struct encoding unknown[] = {
	N("\x40"), N("\x66\x40"), N("\x89\xc0"), N("\x0f\x01\xd0"), N("\x0f\x01\xd8"),
	N("\xcd\x04"), N("\x0f\x22\xc8"), N("\x44\x0f\x23\xc0"), N("\x0f\x00\xe0"), N("\x0f"),
	N("\x0f\x01"), N("\x0f\x22"), N("\xf0"), N(""),
};

static void test_known(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		const struct encoding *e = &known[i];
		struct site site;

		assert_true(site_decode((const uint8_t *)e->bytes, e->len, &site));
		assert_int_equal(site.kind, e->kind);
		assert_int_equal(site.len, e->len);
		assert_int_equal(site.number, e->number);
		assert_int_equal(site.lock, e->lock);
		if (e->kind == SCRY_EVENT_CR_WRITE || e->kind == SCRY_EVENT_CR_READ)
			assert_int_equal(site.reg, e->reg);
	}
}

static void test_unknown(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		struct site site;

		assert_false(site_decode((const uint8_t *)unknown[i].bytes, unknown[i].len, &site));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
