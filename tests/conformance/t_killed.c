/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A client that is killed while events stream: the guest goes on, and nothing is left of it. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hits.h"
#include "watch.h"

typedef unsigned long long ull;

#define KILLS 4
#define OPS   5
#define PATCH_SECOND 5	/* the second instruction of the probe's function */

static void work(const struct ctx *c, struct probe_op list[OPS])
{
	list[0] = OP(CR3, .value = c->probe.cr3[1], .toggle = c->probe.cr3[0] ^ c->probe.cr3[1]);
	list[1] = OP(CPUID, .arg = 1);
	list[2] = OP(WRMSR, .arg = 0xc0000082, .value = 0x1000, .step = 8);
	list[3] = OP(INT3);
	list[4] = OP(CHECKSUM, .value = 50, .flags = PROBE_CHECK, .expect = probe_checksum(50));
}

/* The client's life: everything that there is, until it is killed; tells of its first event. */
static int live(struct ctx *c, int told)
{
	struct scry_event events[PROBE_VCPUS];
	int n;

	DO(world_open(c));
	OK(c, subscribe(c, SUB(CPUID)));
	if (scry_cap(c->vm, SCRY_CAP_EVENT_CR_WRITE, NULL))
		OK(c, subscribe(c, SUB(CR_WRITE, .cr = { .cr = 3 })));
	if (scry_cap(c->vm, SCRY_CAP_EVENT_MSR_WRITE, NULL))
		OK(c, subscribe(c, SUB(MSR_WRITE, .msr = { .count = 1, .index = { 0xc0000082 } })));
	if (scry_cap(c->vm, SCRY_CAP_EVENT_INT3, NULL))
		OK(c, subscribe(c, SUB(INT3)));
	if (scry_cap(c->vm, SCRY_CAP_VIEWS, NULL))
		OK(c, scry_view_protect(c->vm, 0, c->probe.scratch >> 12, 1, SCRY_WRITE));
	for (;;) {
		n = pump_wait(c, events, PROBE_VCPUS, WAIT_MS);
		DO(n);
		for (int i = 0; i < n; i++)
			OK(c, scry_reply_action(c->vm, &events[i], SCRY_CONTINUE));
		if (write(told, "e", 1) != 1)
			return -1;
	}
}

/* The same, with breakpoints: in registers, where there are such, and otherwise. */
static int live_breaks(struct ctx *c, int told)
{
	struct scry_event e;

	DO(world_open(c));
	DO(plant(c, BREAK(.address = c->probe.patch)));
	for (unsigned i = 0; i < 4; i++)
		DO(plant(c, BREAK(.address = c->probe.scratch + i)));
	DO(plant(c, BREAK(.address = c->probe.patch + PATCH_SECOND)));
	for (;;) {
		DO(pump_one(c, &e));
		OK(c, scry_reply_action(c->vm, &e, SCRY_CONTINUE));
		if (write(told, "b", 1) != 1)
			return -1;
	}
}

/* The same, with watchpoints. */
static int live_watches(struct ctx *c, int told)
{
	struct scry_event e;

	DO(world_open(c));
	for (uint32_t i = 0; i < SCRY_WATCHPOINTS; i++)
		DO(watch(c, WATCH(.address = c->probe.scratch + 8 * i, .size = 8)));
	for (;;) {
		DO(pump_one(c, &e));
		OK(c, scry_reply_action(c->vm, &e, SCRY_CONTINUE));
		if (write(told, "w", 1) != 1)
			return -1;
	}
}

/* The same, with the VM paused. */
static int hold(struct ctx *c, int told)
{
	DO(world_open(c));
	OK(c, scry_pause(c->vm));
	if (write(told, "p", 1) != 1)
		return -1;
	for (;;)
		pause();
}

/* Kill it when it has told so often. */
static int kill_one(struct ctx *c, int (*life)(struct ctx *c, int told), unsigned after)
{
	int pipe_fds[2], status;
	char byte;
	pid_t child;

	CHECK(c, pipe(pipe_fds) == 0, "no pipe to be had");
	child = fork();
	CHECK(c, child >= 0, "no process to be had");
	if (child == 0) {
		close(pipe_fds[0]);
		_exit(life(c, pipe_fds[1]) ? 1 : 0);
	}
	close(pipe_fds[1]);
	while (after-- && read(pipe_fds[0], &byte, 1) == 1)
		;
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	close(pipe_fds[0]);
	CHECK(c, WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the client ended by itself");
	return 0;
}

static int check_work(struct ctx *c, unsigned vcpu)
{
	struct probe_vcpu block;

	DO(guest_stop(c, vcpu));
	DO(guest_block(c, vcpu, &block));
	for (unsigned i = 0; i < OPS; i++)
		CHECK(c, !block.op[i].faults && !block.op[i].mismatches &&
		      block.op[i].count - block.op[OPS - 1].count <= 1,
		      "vCPU %u, operation %u: done %llu times, %llu faults, %llu wrong", vcpu, i,
		      (ull)block.op[i].count, (ull)block.op[i].faults, (ull)block.op[i].mismatches);
	CHECK(c, block.exceptions[3] == block.op[3].count, "vCPU %u: %llu #BP for %llu int3", vcpu,
	      (ull)block.exceptions[3], (ull)block.op[3].count);
	return 0;
}

static int killed(struct ctx *c)
{
	struct probe_op list[OPS];
	struct scry_event e;

	work(c, list);
	DO(guest_start_all(c, list, OPS, FOREVER));
	for (unsigned i = 0; i < KILLS; i++) {
		world_close(c);
		DO(kill_one(c, live, 3 + i * 5));	/* with luck vCPUs wait for answers then */
		DO(world_open(c));
		for (unsigned n = 0; n < c->vcpus; n++)
			DO(guest_moves(c, n));
		CHECK(c, scry_event_wait(c->vm, &e, 1, 20) == 0, "an event without a subscription");
		REFUSED(c, scry_resume(c->vm), SCRY_E_STATE);
	}
	for (unsigned i = 0; i < c->vcpus; i++)
		DO(check_work(c, i));
	return 0;
}

/* A client that has it paused is killed: vCPUs that sleep in HLT are no hindrance. */
static int killed_paused(struct ctx *c)
{
	const struct probe_op idle = OP(IDLE);

	DO(guest_start_all(c, &idle, 1, 1));
	for (unsigned i = 0; i < c->vcpus; i++)
		DO(guest_wait_waits(c, i));
	for (unsigned i = 0; i < KILLS; i++) {
		world_close(c);
		DO(kill_one(c, hold, 1));
		DO(world_open(c));
		for (unsigned n = 0; n < c->vcpus; n++)
			DO(guest_moves(c, n));
	}
	return 0;
}

/* Nothing is left of its break- or watchpoints, whichever way they were made. */
static int killed_hitting(struct ctx *c, const struct probe_op *op,
			  int (*life)(struct ctx *c, int told))
{
	struct probe_vcpu block;
	struct scry_event e;

	DO(guest_start_all(c, op, 1, FOREVER));
	for (unsigned i = 0; i < KILLS; i++) {
		world_close(c);
		DO(kill_one(c, life, 3 + i * 5));
		DO(world_open(c));
		for (unsigned n = 0; n < c->vcpus; n++)
			DO(guest_moves(c, n));
		CHECK(c, scry_event_wait(c->vm, &e, 1, 20) == 0, "a hit of what is gone");
	}
	for (unsigned n = 0; n < c->vcpus; n++) {
		DO(guest_stop(c, n));
		DO(guest_block(c, n, &block));
		CHECK(c, !block.op[0].faults && !block.op[0].mismatches && !block.exceptions[1] &&
		      !block.exceptions[3], "vCPU %u: %llu faults, %llu wrong, %llu #DB, %llu #BP", n,
		      (ull)block.op[0].faults, (ull)block.op[0].mismatches, (ull)block.exceptions[1],
		      (ull)block.exceptions[3]);
	}
	return 0;
}

static int killed_breaks(struct ctx *c)
{
	const struct probe_op op = OP(EXEC, .arg = c->probe.patch, .flags = PROBE_CHECK, .expect = 1);

	return killed_hitting(c, &op, live_breaks);
}

static int killed_watches(struct ctx *c)
{
	return killed_hitting(c, &OP(WRITE, .arg = c->probe.scratch + 8, .size = 4), live_watches);
}

const struct test tests_killed[] = {
	{ "client-killed", killed, { SCRY_CAP_EVENT_CPUID } },
	{ "client-killed-paused", killed_paused, { WHOLE(PAUSE) } },
	{ "client-killed-breaks", killed_breaks, { SCRY_CAP_EVENT_BREAKPOINT } },
	{ "client-killed-watches", killed_watches, { SCRY_CAP_EVENT_WATCHPOINT } },
	{ 0 }
};
