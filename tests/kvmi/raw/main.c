/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * usage: kvmi-raw SOCKET 7|12 GROUP [TEST...]
 * A tool that a QEMU with the probe connects to; prints "ok NAME" or "FAIL NAME: why",
 * and, with KVMI_UNDER_KVM set, "skip NAME: what is lacking" for what needs it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tool.h"

static const struct {
	const char *name;
	const struct test *tests;
	bool connects;		/* by itself */
} groups[] = {
	{ "commands", tests_commands, false },
	{ "events", tests_events, false },
	{ "flow", tests_flow, false },
	{ "hostile", tests_hostile, false },
	{ "denied", tests_denied, false },
	{ "key", tests_key, true },
	{ "asleep", tests_asleep, true },
	{ "hold", tests_hold, true },
	{ "trace", tests_trace, false },
	{ "dies", tests_dies, false },
	{ "stuck", tests_stuck, false },
	{ "attack", tests_attack, false },
	{ "frozen", tests_frozen, false },
	{ "given", tests_given, false },
};

/* Each on a connection of its own, so that none has what another has left. */
static int run(struct tool *t, const struct test *test, bool connects)
{
	uint64_t start = now_ms();
	int status;

	if (!(t->generation == KVMI_V7 ? test->v7 : test->v12))
		return 0;
	t->why[0] = 0;
	status = connects ? 0 : tool_accept(t, NULL);
	if (status == 0 && getenv("KVMI_UNDER_KVM") && !t->lacks)
		status = tool_find_lacks(t);
	if (status == 0 && tool_skips(t, test))
		return 0;
	if (status == 0)
		status = test->run(t);
	tool_hang_up(t);
	if (status == 0)
		printf("ok %s (%.1f s)\n", test->name, (double)(now_ms() - start) / 1000);
	else
		printf("FAIL %s: %s\n", test->name, t->why);
	fflush(stdout);
	return status;
}

/* No names are all. */
static bool is_named(const struct test *test, char **names)
{
	bool named = !*names;

	for (; *names; names++)
		named |= strcmp(*names, test->name) == 0;
	return named;
}

int main(int argc, char **argv)
{
	struct tool t = { .path = argc > 3 ? argv[1] : NULL };
	int failed = 0;

	if (argc < 4) {
		fprintf(stderr, "usage: kvmi-raw SOCKET 7|12 GROUP [TEST...]\n");
		return 2;
	}
	t.generation = strcmp(argv[2], "7") == 0 ? KVMI_V7 : KVMI_V12;
	t.event = calloc(EVENTS_MOST, sizeof(*t.event));
	if (!t.event || tool_listen(&t) < 0) {
		fprintf(stderr, "%s\n", t.why);
		return 1;
	}
	for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++)
		for (const struct test *test = groups[g].tests;
		     strcmp(groups[g].name, argv[3]) == 0 && test->name; test++)
			if (is_named(test, argv + 4))
				failed |= run(&t, test, groups[g].connects) < 0;
	free(t.event);
	printf("done\n");
	return failed;
}
