/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs tests, each in a world of its own, and prints a line a test. */
#include <stdio.h>
#include <string.h>

#include "conformance.h"

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

bool tests_run(const char *uri, const struct test *const *tables, char *const *names)
{
	struct tally tally = { 0 };

	for (; *tables; tables++)
		for (const struct test *test = *tables; test->name; test++)
			if (wanted(test->name, names))
				run_test(uri, test, &tally);
	printf("%u passed, %u failed, %u skipped\n", tally.passed, tally.failed, tally.skipped);
	return !tally.failed;
}
