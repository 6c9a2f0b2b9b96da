/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_BENCH_H
#define SCRY_BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include <scry/scry.h>

/*
 * A figure is measured beside its bound: what the same work costs at best on
 * this machine.  Both are run in turn, RUNS times, each time in the other
 * order; ratio is the median of the runs' ratios, so that what disturbs the
 * machine disturbs both.
 */
#define BENCH_RUNS 15

struct figure {
	const char *name;
	const char *unit;
	double value, bound;	/* medians */
	double ratio;		/* value by bound */
	int runs;
};

struct bench {
	struct scry_vm *vm;
	struct scry_vm *bound;	/* another guest, in which only bench/plugin works; or NULL */
	bool json;
	int runs;		/* of each, up to BENCH_RUNS, which is 0, too */
	double wanted_most, wanted_least;	/* what the ratio must be; 0 = nothing is asked */
};

/* One run of the measured or the bound work: what it cost, or < 0 for a failure. */
typedef double (*bench_fn)(void *arg);

/* Measure and print; -1 after a message on failure. */
int bench_pairs(const struct bench *b, const char *name, const char *unit, bench_fn measured,
		bench_fn bound, void *arg);
void bench_print(const struct bench *b, const struct figure *f);
double bench_median(double *values, size_t count);	/* sorts them */

/*
 * Samples of one run, of a few milliseconds at most each: their median leaves
 * out those in which another program had the processor.
 */
struct samples {
	double value[1024];
	size_t count;
};

static inline void samples_add(struct samples *s, double value)
{
	if (s->count < sizeof(s->value) / sizeof(s->value[0]))
		s->value[s->count++] = value;
}

/* Print "scry-bench: ..." and return -1. */
int bench_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * What costs `with` more than `without`; -1 if either failed.  Little, but not
 * negative, where the machine was disturbed: the median leaves it out.
 */
double bench_difference(double with, double without);

double bench_now(void);		/* seconds */
uint64_t bench_random(uint64_t *state);

/* The benchmarks, each by the name of its figure. */
int bench_read_phys(const struct bench *b, const char *name);
int bench_read_virt(const struct bench *b, const char *name);
int bench_copy(const struct bench *b, const char *name);
int bench_walk(const struct bench *b, const char *name);
int bench_event(const struct bench *b, const char *name);
int bench_evtchn(const struct bench *b, const char *name);
int bench_armed(const struct bench *b, const char *name);
int bench_memtrap(const struct bench *b, const char *name);
int bench_view(const struct bench *b, const char *name);
int bench_linux_find(const struct bench *b, const char *name);
int bench_linux_ps(const struct bench *b, const char *name);
int bench_pt(const struct bench *b, const char *name);
int bench_breakpoint(const struct bench *b, const char *name);
int bench_kvm_msr(const struct bench *b, const char *name);
int bench_kvm_write(const struct bench *b, const char *name);

/* CPU seconds of two shell commands, in turn. */
int bench_idle(const struct bench *b, const char *name, const char *with, const char *without);

/* Exits of two probes, each PID:FILE of its RAM. */
int bench_exits(const struct bench *b, const char *with, const char *without);

/* MiB a second of two shell commands that move so many, in turn. */
int bench_speed(const struct bench *b, const char *name, double mib, const char *command,
		const char *bound);

/* The largest mapped region, and base: the host address that gpa 0 would have. */
struct ram {
	uint64_t gpa, size;
	unsigned char *base;
};
int bench_ram(struct scry_vm *vm, struct ram *ram);

/* Addresses to read, all of them `rounds` times. */
struct addresses {
	uint64_t *at;
	size_t count;
	int rounds;
};

/* Room for those of one hot page, or of all there is; -1 after a message. */
int addresses_new(struct addresses *a, bool hot);
double addresses_ns(const struct addresses *a, double start);	/* each, since start */

/* Hide a value from the optimiser. */
static inline uint64_t hidden(uint64_t value)
{
	__asm__ volatile("" : "+r"(value));
	return value;
}

#endif
