/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Whole commands, in turn: CPU seconds with the agent beside those without it; speeds. */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define CPU_RUNS 10

static double seconds(const struct timeval *t)
{
	return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

static double cpu_seconds(const char *command, double *wall)
{
	double began = bench_now();
	struct rusage usage;
	pid_t pid = fork();
	int status;

	if (!pid) {
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &usage) < 0)
		return bench_fail("cannot run '%s'", command);
	if (status)
		return bench_fail("'%s' failed", command);
	*wall = bench_now() - began;
	return seconds(&usage.ru_utime) + seconds(&usage.ru_stime);
}

int bench_idle(const struct bench *b, const char *name, const char *with, const char *without)
{
	double value[CPU_RUNS], bound[CPU_RUNS];
	struct figure f = { .name = name, .unit = "s", .runs = CPU_RUNS };
	double wall = 0;

	for (int i = 0; i < CPU_RUNS; i++) {
		/* In turn, and each first every other time. */
		if (i & 1)
			value[i] = cpu_seconds(with, &wall);
		bound[i] = cpu_seconds(without, &wall);
		if (!(i & 1))
			value[i] = cpu_seconds(with, &wall);
		if (value[i] < 0 || bound[i] < 0)
			return -1;
	}
	f.value = bench_median(value, CPU_RUNS);
	f.bound = bench_median(bound, CPU_RUNS);
	f.ratio = f.value / f.bound;
	bench_print(b, &f);
	/* bench_median() has sorted them. */
	if (!b->json)
		printf("%-26s with %.3f to %.3f s, without %.3f to %.3f s\n", "", value[0],
		       value[CPU_RUNS - 1], bound[0], bound[CPU_RUNS - 1]);
	return 0;
}

struct commands {
	const char *command, *bound;
	double mib;
};

static double speed(const struct commands *c, const char *command)
{
	double wall = 0;

	return cpu_seconds(command, &wall) < 0 ? -1 : c->mib / wall;
}

static double command_speed(void *arg)
{
	const struct commands *c = arg;

	return speed(c, c->command);
}

static double bound_speed(void *arg)
{
	const struct commands *c = arg;

	return speed(c, c->bound);
}

int bench_speed(const struct bench *b, const char *name, double mib, const char *command,
		const char *bound)
{
	struct commands c = { command, bound, mib };

	return bench_pairs(b, name, "MiB/s", command_speed, bound_speed, &c);
}
