/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "bench.h"

int bench_fail(const char *format, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("scry-bench: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	return -1;
}

double bench_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

uint64_t bench_random(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *state = x;
}

int addresses_new(struct addresses *a, bool hot)
{
	a->count = hot ? 512 : 1u << 20;
	a->rounds = hot ? 8192 : 1;
	a->at = malloc(a->count * sizeof(a->at[0]));
	return a->at ? 0 : bench_fail("out of memory");
}

double addresses_ns(const struct addresses *a, double start)
{
	return (bench_now() - start) * 1e9 / ((double)a->count * a->rounds);
}

double bench_difference(double with, double without)
{
	if (with < 0 || without < 0)
		return -1;
	return with > without + 0.1 ? with - without : 0.1;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_median(double *values, size_t count)
{
	qsort(values, count, sizeof(values[0]), by_value);
	return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

int bench_pairs(const struct bench *b, const char *name, const char *unit, bench_fn measured,
		bench_fn bound, void *arg)
{
	double value[BENCH_RUNS], at_best[BENCH_RUNS], ratio[BENCH_RUNS];
	struct figure f = { .name = name, .unit = unit, .runs = b->runs ? b->runs : BENCH_RUNS };

	/* The first run warms up both. */
	for (int i = -1; i < f.runs; i++) {
		double v = i & 1 ? measured(arg) : 0;
		double m = bound(arg);

		if (!(i & 1))
			v = measured(arg);
		if (v < 0 || m < 0)
			return -1;
		if (i < 0)
			continue;
		value[i] = v;
		at_best[i] = m;
		ratio[i] = v / m;
	}
	f.value = bench_median(value, (size_t)f.runs);
	f.bound = bench_median(at_best, (size_t)f.runs);
	f.ratio = bench_median(ratio, (size_t)f.runs);
	bench_print(b, &f);
	return 0;
}

static const char *verdict(const struct bench *b, const struct figure *f, char *text, size_t size)
{
	bool holds = b->wanted_most ? f->ratio <= b->wanted_most : f->ratio >= b->wanted_least;

	if (b->wanted_most)
		snprintf(text, size, "<= %.2f %s", b->wanted_most, holds ? "holds" : "MISSED");
	else if (b->wanted_least)
		snprintf(text, size, ">= %.2f %s", b->wanted_least, holds ? "holds" : "MISSED");
	else
		text[0] = 0;
	return text;
}

void bench_print(const struct bench *b, const struct figure *f)
{
	char text[64];

	if (b->json)
		printf("{\"name\": \"%s\", \"value\": %.4g, \"unit\": \"%s\", \"bound\": %.4g, "
		       "\"ratio\": %.3f, \"runs\": %d}\n", f->name, f->value, f->unit, f->bound,
		       f->ratio, f->runs);
	else
		printf("%-26s %9.4g %-5s bound %9.4g   ratio %5.2f   %s\n", f->name, f->value,
		       f->unit, f->bound, f->ratio, verdict(b, f, text, sizeof(text)));
	fflush(stdout);
}
