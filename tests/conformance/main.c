/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* scry-conformance URI [TEST...]: does a driver do what it says, on the probe? */
#include <stdio.h>
#include <string.h>

#include "conformance.h"

static const struct test *const tables[] = {
	tests_vm, tests_memory, tests_paging, tests_pause, tests_regs, tests_msr, tests_xsave,
	tests_cr, tests_cpuid, tests_msr_events, tests_int3, tests_flow, tests_held,
	tests_sites, tests_io, tests_int, tests_step, tests_step_exact, tests_trapped,
	tests_int_replies, tests_inject, tests_memory_events, tests_views, tests_view_tables,
	tests_breakpoints, tests_break_kernel, tests_power, tests_pt, tests_killed,
};

struct tally {
	unsigned passed, failed, skipped;
};

/* Why the driver cannot pass this test; NULL if it should. */
static const char *lacks(struct ctx *c, const struct test *test)
{
	const char *reason;

	for (size_t i = 0; i < sizeof(test->needs) / sizeof(test->needs[0]); i++) {
		unsigned cap = test->needs[i] & ~WHOLE_CAP;

		if (!scry_cap(c->vm, cap, &reason) ||
		    (test->needs[i] & WHOLE_CAP && !whole(c, (enum scry_cap)cap)))
			return reason;
	}
	return NULL;
}

static void report(const struct test *test, int result, const char *why, struct tally *tally)
{
	if (result == 0) {
		printf("ok %s\n", test->name);
		tally->passed++;
	} else if (result > 0) {
		printf("skip %s: %s\n", test->name, why);
		tally->skipped++;
	} else {
		printf("FAIL %s: %s\n", test->name, why);
		tally->failed++;
	}
}

static void run_test(const char *uri, const struct test *test, struct tally *tally)
{
	struct ctx c = { .uri = uri };
	const char *reason;
	int result = world_open(&c);

	if (!result && (reason = lacks(&c, test)))
		result = skip(&c, reason);
	if (!result)
		result = world_reset(&c);
	if (!result)
		result = test->run(&c);
	world_close(&c);
	if (result < 0 && c.unsupported)
		result = 1;
	report(test, result, c.why, tally);
}

static bool wanted(const char *name, char *const *names)
{
	if (!*names)
		return true;
	for (; *names; names++)
		if (!strcmp(*names, name))
			return true;
	return false;
}

static const struct test *find(const char *name)
{
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		for (const struct test *test = tables[i]; test->name; test++)
			if (!strcmp(test->name, name))
				return test;
	return NULL;
}

static int list_all(void)
{
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		for (const struct test *test = tables[i]; test->name; test++)
			puts(test->name);
	return 0;
}

static int run_all(const char *uri, char *const *names)
{
	struct tally tally = { 0 };

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		for (const struct test *test = tables[i]; test->name; test++)
			if (wanted(test->name, names))
				run_test(uri, test, &tally);
	printf("%u passed, %u failed, %u skipped\n", tally.passed, tally.failed, tally.skipped);
	return tally.failed ? 1 : 0;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 2 && !strcmp(argv[1], "--list"))
		return list_all();
	if (argc < 2 || argv[1][0] == '-') {
		fputs("usage: scry-conformance URI [TEST...]\n"
		      "       scry-conformance --list\n", stderr);
		return 2;
	}
	for (int i = 2; i < argc; i++)
		if (!find(argv[i])) {
			fprintf(stderr, "scry-conformance: no test is called %s; see --list\n", argv[i]);
			return 2;
		}
	return run_all(argv[1], argv + 2);
}
