/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "../lib/test.h"
#include "common/qemuargs.h"

#define MIB (UINT64_C(1) << 20)

/* Parse a command line of words with one blank between. */
static struct qemu_args parse(const char *line)
{
	static char text[512];
	struct qemu_args args;
	char *words[32];
	size_t count = 0;

	snprintf(text, sizeof(text), "%s", line);
	for (char *w = strtok(text, " "); w; w = strtok(NULL, " "))
		words[count++] = w;
	qemu_args_parse(words, count, &args);
	return args;
}

static void test_ram(void **state)
{
	(void)state;
	assert_int_equal(parse("").ram, 128 * MIB);
	assert_int_equal(parse("-m 256").ram, 256 * MIB);
	assert_int_equal(parse("--m 1G").ram, 1024 * MIB);
	assert_int_equal(parse("-m 1.5g").ram, 1536 * MIB);
	assert_int_equal(parse("-m 512M,slots=2,maxmem=4G").ram, 512 * MIB);
	assert_int_equal(parse("-m slots=2,size=512").ram, 512 * MIB);
	assert_int_equal(parse("-m 65536k").ram, 64 * MIB);
	assert_int_equal(parse("-m 0x40").ram, 64 * MIB);
	assert_int_equal(parse("-m 1048577b").ram, MIB + 8192);
	assert_int_equal(parse("-m 256 -m slots=4").ram, 256 * MIB);
	assert_int_equal(parse("-m 256 -m 512").ram, 512 * MIB);
	assert_int_equal(parse("-m 0").ram, 128 * MIB);
	assert_int_equal(parse("-m slots=2").ram, 128 * MIB);
	assert_null(parse("-m 256").bad_m);
}

static void test_bad_ram(void **state)
{
	static const char *const bad[] = {
		"-m x", "-m 1X", "-m -5", "-m 1Gb", "-m nan", "-m 99999999999G",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_non_null(parse(bad[i]).bad_m);
}

static void test_accel(void **state)
{
	(void)state;
	assert_false(parse("-m 256").own_accel);
	assert_true(parse("-accel tcg,thread=multi").own_accel);
	assert_string_equal(parse("-accel tcg,thread=multi").accel, "");
	assert_string_equal(parse("-accel kvm").accel, "");
	assert_string_equal(parse("-accel accel=hvf").accel, "hvf");
	assert_string_equal(parse("-enable-kvm").accel, "");
	assert_true(parse("-enable-kvm").own_accel);
	assert_string_equal(parse("-machine q35,accel=kvm:tcg").accel, "");
	assert_string_equal(parse("-machine q35,accel=kvm:hvf").accel, "kvm:hvf");
	assert_string_equal(parse("-M accel=tcg").accel, "");
	assert_true(parse("-M accel=tcg").own_accel);
	assert_string_equal(parse("-append -enable").accel, "");
}

static void test_backend(void **state)
{
	(void)state;
	assert_false(parse("-machine q35").own_backend);
	assert_true(parse("-machine q35,memory-backend=ram0").own_backend);
	assert_true(parse("-numa node,memdev=ram0").own_backend);
	assert_true(parse("-mem-path /dev/hugepages").own_backend);
	assert_false(parse("-object memory-backend-ram,id=dimm,size=1G").own_backend);
}

static void test_rest(void **state)
{
	(void)state;
	assert_true(parse("-plugin /usr/lib/scry/scry-agent.so,name=x").own_agent);
	assert_false(parse("-plugin /usr/lib/other.so").own_agent);
	assert_true(parse("-vnc :1").own_display);
	assert_false(parse("-serial stdio").own_display);
	assert_int_equal(parse("-m").ram, 128 * MIB);
	assert_int_equal(parse("- -- m").ram, 128 * MIB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ram),	cmocka_unit_test(test_bad_ram),
		cmocka_unit_test(test_accel),	cmocka_unit_test(test_backend),
		cmocka_unit_test(test_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
