/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Clients killed at random moments, while all kinds of events stream. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "chaos.h"

typedef unsigned long long ull;

#define ROUNDS 200	/* of the checksum */
#define OPS 12
#define INT3_AT 4
#define SUM_AT 11
#define HANGS_US 20000000u	/* so long no client waits, however busy the host is */

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* What the guest does all the time; each step tells of a lost or doubled instruction. */
static int start_work(struct ctx *c)
{
	const struct probe_op list[OPS] = {
		OP(CR3, .value = c->probe.cr3[0], .toggle = c->probe.cr3[0] ^ c->probe.cr3[1]),
		OP(CPUID, .arg = 7),
		OP(WRMSR, .arg = 0xc0000082, .value = 0x1000),
		OP(RDMSR, .arg = 0xc0000082, .flags = PROBE_CHECK, .expect = 0x1000),
		OP(INT3),
		OP(EXEC, .arg = c->probe.patch_inline, .flags = PROBE_CHECK, .expect = 1),
		OP(IN, .arg = 0x80, .size = 4),
		OP(LIDT),
		OP(INVLPG, .value = 0x200000),
		OP(INTN),
		OP(HLT),
		OP(CHECKSUM, .value = ROUNDS, .flags = PROBE_CHECK, .expect = probe_checksum(ROUNDS)),
	};

	return guest_start_all(c, list, OPS, FOREVER);
}

/* Everything that was done has been done once, and rightly. */
static int check_work(struct ctx *c, unsigned vcpu, const struct probe_vcpu *block)
{
	for (unsigned i = 0; i < OPS; i++) {
		const struct probe_op *op = &block->op[i];

		CHECK(c, op->faults == 0 && op->mismatches == 0,
		      "vCPU %u, operation %u: %llu faults, %llu wrong results", vcpu, i,
		      (ull)op->faults, (ull)op->mismatches);
		CHECK(c, op->count - block->op[OPS - 1].count <= 1,
		      "vCPU %u: operation %u done %llu times, the last %llu times", vcpu, i,
		      (ull)op->count, (ull)block->op[OPS - 1].count);
	}
	CHECK(c, block->exceptions[3] - block->op[INT3_AT].count <= 1,
	      "vCPU %u: %llu #BP for %llu int3", vcpu, (ull)block->exceptions[3],
	      (ull)block->op[INT3_AT].count);
	return 0;
}

/* No trap and no pause of the dead client is left, and the guest works on. */
static int check_guest(struct ctx *c)
{
	struct probe_vcpu block;
	struct scry_event e;
	int n;

	for (unsigned i = 0; i < c->vcpus; i++) {
		DO(guest_block(c, i, &block));
		DO(guest_wait_rounds(c, i, block.rounds + 2));
		OK(c, scry_vcpu_pause(c->vm, i));
		DO(guest_block(c, i, &block));
		OK(c, scry_vcpu_resume(c->vm, i));
		DO(check_work(c, i, &block));
	}
	n = scry_event_wait(c->vm, &e, 1, 0);
	OK(c, n);
	CHECK(c, n == 0, "an event without a subscription");
	REFUSED(c, scry_resume(c->vm), SCRY_E_STATE);
	return 0;
}

/* CPU seconds that the VMM's process has used. */
static int cpu_seconds(struct ctx *c, double *seconds)
{
	struct scry_info info = { .sz = sizeof(info) };
	clockid_t clock;
	struct timespec ts;

	OK(c, scry_info(c->vm, &info));
	CHECK(c, !clock_getcpuclockid(info.pid, &clock) && !clock_gettime(clock, &ts),
	      "no CPU clock of process %d", info.pid);
	*seconds = (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
	return 0;
}

/* Rounds of its list that the guest does in a CPU second, however busy the host is. */
static int measure(struct ctx *c, double *rate)
{
	struct probe_vcpu block;
	uint64_t rounds = 0;
	double start, end;

	DO(cpu_seconds(c, &start));
	for (unsigned i = 0; i < c->vcpus; i++) {
		DO(guest_block(c, i, &block));
		rounds -= block.rounds;
	}
	sleep_ms(1000);
	for (unsigned i = 0; i < c->vcpus; i++) {
		DO(guest_block(c, i, &block));
		rounds += block.rounds;
	}
	DO(cpu_seconds(c, &end));
	*rate = (double)rounds / (end - start);
	return 0;
}

/* One client lives for a while, and dies; *attach_us is how long the next one waits. */
static int kill_one(struct ctx *c, unsigned seed, uint64_t *attach_us)
{
	unsigned life_us = seed % 3 ? seed % 40000 : seed % 3000;
	uint64_t died;
	int status;
	pid_t child;

	fflush(stdout);
	child = fork();
	CHECK(c, child >= 0, "no process to be had");
	if (child == 0)
		_exit(client_run(c->uri, seed) ? 1 : 0);
	usleep(life_us);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	died = now_us();
	CHECK(c, WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
	      "the client ended by itself after at most %u us", life_us);
	DO(world_open(c));
	*attach_us = now_us() - died;
	return 0;
}

static int end_work(struct ctx *c)
{
	struct probe_vcpu block;

	for (unsigned i = 0; i < c->vcpus; i++) {
		DO(guest_stop(c, i));
		DO(guest_block(c, i, &block));
		DO(check_work(c, i, &block));
		CHECK(c, block.op[0].count == block.op[SUM_AT].count ||
		      block.op[0].count == block.op[SUM_AT].count + 1, "vCPU %u: uneven counts", i);
	}
	return 0;
}

int kill_clients(struct ctx *c, unsigned kills, unsigned seed)
{
	uint64_t attach_us = 0, worst = 0, sum = 0;
	double before, after;

	DO(start_work(c));
	DO(measure(c, &before));
	for (unsigned i = 0; i < kills; i++) {
		world_close(c);
		if (kill_one(c, seed * 1000 + i * 7919, &attach_us) < 0 || check_guest(c) < 0) {
			printf("kill %u of seed %u: ", i, seed);
			return -1;
		}
		sum += attach_us;
		worst = attach_us > worst ? attach_us : worst;
	}
	DO(measure(c, &after));
	DO(end_work(c));
	printf("%u kills; the next client attached after %llu us, at worst %llu us; "
	       "%.0f rounds of the guest a CPU second before, %.0f after\n", kills,
	       (ull)(sum / (kills ? kills : 1)), (ull)worst, before, after);
	CHECK(c, after > before / 4, "the guest does %.0f rounds a CPU second, before any client it did %.0f",
	      after, before);
	CHECK(c, worst < HANGS_US, "a client had to wait for %llu us", (ull)worst);
	return 0;
}
