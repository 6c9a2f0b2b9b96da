/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What Intel PT packets cost the guest, while somebody takes them. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "loop.h"

#define CHUNK (1u << 20)
#define RING  (UINT64_C(1) << 24)

struct work {
	struct scry_vm *vm;
	_Atomic bool over;
	uint64_t bytes;
};

static void *drain(void *arg)
{
	const struct timespec moment = { .tv_nsec = 1000000 };
	struct work *w = arg;
	void *chunk = malloc(CHUNK);

	while (chunk && !atomic_load(&w->over)) {
		int64_t n = scry_pt_read(w->vm, 0, chunk, CHUNK);

		if (n < 0)
			break;
		w->bytes += (uint64_t)n;
		if (!n)
			nanosleep(&moment, NULL);
	}
	free(chunk);
	return NULL;
}

static double untraced(void *arg)
{
	struct work *w = arg;

	return loop_round(w->vm);
}

static double traced(void *arg)
{
	const struct scry_pt_opts opts = { .sz = sizeof(opts), .ring = RING };
	struct work *w = arg;
	pthread_t thread;
	double ns;

	if (scry_pt_start(w->vm, &opts) < 0)
		return bench_fail("%s", scry_errmsg());
	atomic_store(&w->over, false);
	w->bytes = 0;
	if (pthread_create(&thread, NULL, drain, w))
		return bench_fail("no more threads can be made");
	ns = loop_round(w->vm);
	atomic_store(&w->over, true);
	pthread_join(thread, NULL);
	if (scry_pt_stop(w->vm) < 0)
		return bench_fail("%s", scry_errmsg());
	return w->bytes ? ns : bench_fail("no packets came");
}

int bench_pt(const struct bench *b, const char *name)
{
	/* A little of everything: loops, calls, branches, system calls, interrupts. */
	const struct probe_op list[] = {
		LOOP_OP(CHECKSUM, .value = 7), LOOP_OP(CPUID, .arg = LOOP_LEAF), LOOP_OP(INT3),
		LOOP_OP(SYSCALL), LOOP_OP(CPUID, .flags = PROBE_USER), LOOP_OP(RDTSC),
		LOOP_OP(READ, .size = 8, .arg = PROBE_GPA), LOOP_OP(NOP),
	};
	struct work w = { .vm = b->vm };
	int ret;

	if (loop_start(b->vm, list, sizeof(list) / sizeof(list[0])) < 0)
		return -1;
	ret = bench_pairs(b, name, "ns", traced, untraced, &w);
	return loop_stop(b->vm) < 0 ? -1 : ret;
}
