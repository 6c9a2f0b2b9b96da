/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pausing: it counts, the VM and each vCPU, from any thread. */
#include <pthread.h>
#include <stdlib.h>

#include "conformance.h"

static int all_move(struct ctx *c)
{
	for (unsigned i = 0; i < c->vcpus; i++)
		DO(guest_moves(c, i));
	return 0;
}

static int all_stand(struct ctx *c)
{
	for (unsigned i = 0; i < c->vcpus; i++)
		DO(guest_stands(c, i));
	return 0;
}

static int pause_vm(struct ctx *c)
{
	for (int i = 0; i < 5; i++) {
		OK(c, scry_pause(c->vm));
		DO(all_stand(c));
		OK(c, scry_resume(c->vm));
		DO(all_move(c));
	}
	return 0;
}

static int pause_nested(struct ctx *c)
{
	OK(c, scry_pause(c->vm));
	OK(c, scry_pause(c->vm));
	OK(c, scry_pause(c->vm));
	OK(c, scry_resume(c->vm));
	DO(all_stand(c));
	OK(c, scry_resume(c->vm));
	DO(all_stand(c));
	OK(c, scry_resume(c->vm));
	DO(all_move(c));
	REFUSED(c, scry_resume(c->vm), SCRY_E_STATE);
	REFUSED(c, scry_vcpu_resume(c->vm, 0), SCRY_E_STATE);
	return all_move(c);
}

static int vcpu_pause(struct ctx *c)
{
	for (unsigned i = 0; i < c->vcpus; i++) {
		OK(c, scry_vcpu_pause(c->vm, i));
		DO(guest_stands(c, i));
		for (unsigned j = 0; j < c->vcpus; j++)
			if (j != i)
				DO(guest_moves(c, j));
		REFUSED(c, scry_resume(c->vm), SCRY_E_STATE);
		OK(c, scry_vcpu_pause(c->vm, i));
		OK(c, scry_vcpu_resume(c->vm, i));
		DO(guest_stands(c, i));
		OK(c, scry_vcpu_resume(c->vm, i));
		DO(guest_moves(c, i));
		REFUSED(c, scry_vcpu_resume(c->vm, i), SCRY_E_STATE);
	}
	return 0;
}

/* A vCPU runs when neither way holds it. */
static int pause_both_ways(struct ctx *c)
{
	OK(c, scry_vcpu_pause(c->vm, 0));
	OK(c, scry_pause(c->vm));
	OK(c, scry_vcpu_resume(c->vm, 0));
	DO(all_stand(c));
	OK(c, scry_vcpu_pause(c->vm, 0));
	OK(c, scry_resume(c->vm));
	DO(guest_stands(c, 0));
	for (unsigned i = 1; i < c->vcpus; i++)
		DO(guest_moves(c, i));
	OK(c, scry_vcpu_resume(c->vm, 0));
	return all_move(c);
}

/* A vCPU that sleeps in HLT can be paused, looked at, and let go. */
static int pause_halted(struct ctx *c)
{
	const struct probe_op idle = OP(IDLE);
	struct scry_regs regs;

	DO(guest_start_all(c, &idle, 1, 1));
	for (unsigned i = 0; i < c->vcpus; i++)
		DO(guest_wait_waits(c, i));
	DO(all_move(c));
	for (int i = 0; i < 5; i++) {
		OK(c, scry_pause(c->vm));
		DO(all_stand(c));
		OK(c, scry_regs_get(c->vm, 0, &regs));
		CHECK(c, regs.rip - c->probe.text < c->probe.text_size, "rip %#llx is not the probe's",
		      (unsigned long long)regs.rip);
		OK(c, scry_resume(c->vm));
		DO(all_move(c));
	}
	return 0;
}

struct pauser {
	struct scry_vm *vm;
	unsigned seed, vcpus;
	int failed;	/* code of the first call that failed */
};

/* Pauses and resumes this way and that, never twice without a resume. */
static void *pauser_main(void *opaque)
{
	struct pauser *p = opaque;
	int err = 0;

	for (int i = 0; i < 100 && !err; i++) {
		unsigned which = rand_r(&p->seed) % (p->vcpus + 1);

		if (which == p->vcpus) {
			err = scry_pause(p->vm);
			err = err ? err : scry_resume(p->vm);
		} else {
			err = scry_vcpu_pause(p->vm, which);
			err = err ? err : scry_vcpu_resume(p->vm, which);
		}
	}
	p->failed = err;
	return NULL;
}

/* Two threads at it; then, while this one holds a pause, nothing they do lets the guest run. */
static int pause_threads(struct ctx *c)
{
	struct pauser p[2] = { { c->vm, 1, c->vcpus, 0 }, { c->vm, 2, c->vcpus, 0 } };
	pthread_t thread[2];
	int result = 0;

	for (int held = 0; held < 2; held++) {
		if (held)
			OK(c, scry_pause(c->vm));
		for (int i = 0; i < 2; i++)
			if (pthread_create(&thread[i], NULL, pauser_main, &p[i]))
				return fail(c, "no thread to be had");
		if (held)
			result = all_stand(c);
		for (int i = 0; i < 2; i++)
			pthread_join(thread[i], NULL);
		for (int i = 0; i < 2; i++)
			CHECK(c, p[i].failed == 0, "thread %d: %s", i, scry_strerror(p[i].failed));
		if (held)
			OK(c, scry_resume(c->vm));
		DO(result);
		DO(all_move(c));
	}
	REFUSED(c, scry_resume(c->vm), SCRY_E_STATE);
	return 0;
}

/* The guest's clock beside ours. */
struct moment {
	uint64_t before, tsc, after;
};

static int read_clocks(struct ctx *c, struct moment *now)
{
	struct probe_op result;

	now->before = now_ms();
	DO(guest_do(c, 0, OP(RDTSC), &result));
	now->tsc = result.out[0];
	now->after = now_ms();
	return 0;
}

/*
 * How long the guest's clock stood still between two moments, at its rate of ticks a ms:
 * at most, as nobody knows when within a moment the guest read it.
 */
static int64_t lost_ms(const struct moment *from, const struct moment *to, double rate)
{
	return (int64_t)(to->after - from->before) - (int64_t)((double)(to->tsc - from->tsc) / rate);
}

/* The guest's clock stands still while the VM is paused. */
static int pause_clock(struct ctx *c)
{
	struct moment at[4];
	double rate;

	DO(read_clocks(c, &at[0]));
	sleep_ms(400);
	DO(read_clocks(c, &at[1]));
	CHECK(c, at[1].tsc > at[0].tsc, "the guest's clock stands still while it runs");
	rate = (double)(at[1].tsc - at[0].tsc) / (double)(at[1].before - at[0].after);

	DO(read_clocks(c, &at[2]));
	OK(c, scry_pause(c->vm));
	sleep_ms(600);
	OK(c, scry_resume(c->vm));
	DO(read_clocks(c, &at[3]));
	CHECK(c, at[3].tsc > at[2].tsc, "the guest's clock went back over a pause");
	CHECK(c, lost_ms(&at[2], &at[3], rate) > 400,
	      "the guest's clock stood still for %lld ms of a pause of 600",
	      (long long)lost_ms(&at[2], &at[3], rate));
	return 0;
}

const struct test tests_pause[] = {
	{ "pause", pause_vm, { SCRY_CAP_PAUSE } },
	{ "pause-nested", pause_nested, { SCRY_CAP_PAUSE } },
	{ "vcpu-pause", vcpu_pause, { SCRY_CAP_VCPU_PAUSE } },
	{ "pause-both-ways", pause_both_ways, { SCRY_CAP_PAUSE, SCRY_CAP_VCPU_PAUSE } },
	{ "pause-halted", pause_halted, { SCRY_CAP_PAUSE, SCRY_CAP_REGS_READ } },
	{ "pause-threads", pause_threads, { SCRY_CAP_PAUSE, SCRY_CAP_VCPU_PAUSE } },
	{ "pause-clock", pause_clock, { WHOLE(PAUSE) } },
	{ 0 }
};
