/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../lib/test.h"
#include "demo/console.h"

static void feed(struct console *c, const char *text)
{
	console_feed(c, text, strlen(text));
}

static void test_lines(void **state)
{
	struct console c = { 0 };

	(void)state;
	feed(&c, "[    0.000000] Linux version 6.1.0 (x@y) #1 SMP\r\nguest: ven");
	assert_string_equal(c.banner, "Linux version 6.1.0 (x@y) #1 SMP");
	assert_int_equal(c.vendors, 0);
	feed(&c, "dor GenuineIntel\r\n");
	assert_string_equal(c.vendor, "GenuineIntel");
	feed(&c, "guest: wrmsr 0xc0000103 ok\nguest: wrmsr 0x176 failed: Input/output error\n");
	assert_int_equal(c.wrmsrs, 2);
	assert_int_equal(c.wrmsr_index, 0x176);
	assert_string_equal(c.wrmsr, "failed: Input/output error");
	feed(&c, "guest: tick 7 checksum OK\nguest: tick 8 checksum BAD\nguest: tick x\n");
	assert_int_equal(c.tick, 8);
	assert_int_equal(c.ticks, 2);
	assert_int_equal(c.bad_sums, 1);
	assert_string_equal(console_last(&c), "guest: tick x");
}

/* A guest may print anything. */
static void test_hostile(void **state)
{
	struct console c = { 0 };
	char line[2 * CONSOLE_LINE];

	(void)state;
	assert_string_equal(console_last(&c), "");
	feed(&c, "\033[2J\a\x7fguest: vendor \033[31mred\xff\n");
	assert_string_equal(console_last(&c), "[2Jguest: vendor [31mred");
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\n';
	console_feed(&c, line, sizeof(line));
	assert_int_equal(strlen(console_last(&c)), CONSOLE_LINE - 1);
	feed(&c, "guest: vendor averylongvendorthatnoprocessorhas\n");
	assert_string_equal(c.vendor, "averylongvendor");
	feed(&c, "guest: wrmsr\nguest: wrmsr ok\nguest: tick \n");
	feed(&c, "guest: tick 99999999999999999999 checksum OK\n");
	assert_int_equal(c.wrmsrs, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
