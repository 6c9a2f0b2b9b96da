/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* scry-conformance URI [TEST...]: does a driver do what it says, on the probe? */
#include <stdio.h>
#include <string.h>

#include "conformance.h"

static const struct test *const tables[] = {
	tests_vm, tests_memory, tests_paging, tests_pause, tests_regs, tests_msr, tests_xsave,
	tests_cr, tests_cpuid, tests_msr_events, tests_int3, tests_flow, tests_held,
	tests_sites, tests_io, tests_int, tests_step, tests_step_exact, tests_trapped,
	tests_int_replies, tests_inject, tests_memory_events, tests_mmio, tests_moves, tests_views,
	tests_view_tables, tests_breakpoints, tests_break_kernel, tests_watchpoints,
	tests_watch_beside, tests_power, tests_pt, tests_killed, NULL
};

static const struct test *find(const char *name)
{
	for (size_t i = 0; tables[i]; i++)
		for (const struct test *test = tables[i]; test->name; test++)
			if (!strcmp(test->name, name))
				return test;
	return NULL;
}

static int list_all(void)
{
	for (size_t i = 0; tables[i]; i++)
		for (const struct test *test = tables[i]; test->name; test++)
			puts(test->name);
	return 0;
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
	return tests_run(argv[1], tables, argv + 2) ? 0 : 1;
}
