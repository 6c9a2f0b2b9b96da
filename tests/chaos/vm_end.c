/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The VM ends under a client: every call says so, in time, and none crashes. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "chaos.h"

#define EXIT_PORT 0x501		/* of QEMU's isa-debug-exit */
#define IN_TIME_MS 5000

/* What the client does; each goes on until a call fails, and returns its code. */
typedef int (*doing_fn)(struct ctx *c);

static int do_read(struct ctx *c)
{
	char page[4096];
	uint64_t value;
	int err = 0;

	while (err >= 0) {
		err = scry_read_phys(c->vm, c->probe.targets, page, sizeof(page));
		if (err >= 0)
			err = scry_read_phys_u64(c->vm, c->probe.targets, &value);
	}
	return err;
}

static int do_read_virt(struct ctx *c)
{
	struct scry_as *as;
	uint64_t value;
	int err;

	DO(world_as_open(c, c->probe.cr3[0], &as));
	do
		err = scry_read_virt_u64(as, PROBE_ALIAS + c->probe.targets, &value);
	while (err >= 0);
	return err;
}

static int do_read_cached(struct ctx *c)
{
	OK(c, scry_pause(c->vm));
	return do_read_virt(c);
}

static int do_write(struct ctx *c)
{
	char page[4096] = { 0 };
	int err;

	do
		err = scry_write_phys(c->vm, c->probe.scratch, page, sizeof(page));
	while (err >= 0);
	return err;
}

static int do_regs(struct ctx *c)
{
	struct scry_regs regs;
	int err;

	do
		err = scry_regs_get(c->vm, 0, &regs);
	while (err >= 0);
	return err;
}

static int do_pause(struct ctx *c)
{
	int err;

	do {
		err = scry_pause(c->vm);
		if (err >= 0)
			err = scry_resume(c->vm);
	} while (err >= 0);
	return err;
}

static int do_events(struct ctx *c)
{
	struct probe_op op = OP(CPUID);
	struct scry_event e;
	int n;

	OK(c, subscribe(c, SUB(CPUID, .vcpus = 1)));
	DO(guest_start(c, 0, &op, 1, FOREVER));
	while ((n = scry_event_wait(c->vm, &e, 1, -1)) > 0)
		n = scry_reply_action(c->vm, &e, SCRY_CONTINUE);
	return n;
}

static int do_wait(struct ctx *c)
{
	struct scry_event e;

	OK(c, subscribe(c, SUB(CPUID)));
	return scry_event_wait(c->vm, &e, 1, -1);
}

static int do_poll(struct ctx *c)
{
	struct pollfd fd = { .fd = scry_event_fd(c->vm), .events = POLLIN };
	struct scry_event e;
	int n;

	OK(c, fd.fd);
	OK(c, subscribe(c, SUB(CPUID)));
	while ((n = scry_event_wait(c->vm, &e, 1, 0)) == 0)
		poll(&fd, 1, -1);
	return n;
}

/* An event held, and never replied to, until the VM is gone. */
static int do_hold(struct ctx *c)
{
	struct probe_op op = OP(CPUID);
	struct scry_event e, other;
	struct scry_regs regs;
	int err;

	OK(c, subscribe(c, SUB(CPUID, .vcpus = 1)));
	DO(guest_start(c, 0, &op, 1, FOREVER));
	DO(pump_one(c, &e));
	err = scry_event_wait(c->vm, &other, 1, -1);
	CHECK(c, scry_reply_action(c->vm, &e, SCRY_CONTINUE) == SCRY_E_GONE, "a reply: %s",
	      scry_errmsg());
	CHECK(c, scry_regs_get(c->vm, 0, &regs) == SCRY_E_GONE, "registers: %s", scry_errmsg());
	return err;
}

static const struct {
	const char *name;
	doing_fn run;
} doings[] = {
	{ "read", do_read },
	{ "read-virt", do_read_virt },
	{ "read-cached", do_read_cached },
	{ "write", do_write },
	{ "regs", do_regs },
	{ "pause", do_pause },
	{ "events", do_events },
	{ "wait", do_wait },
	{ "poll", do_poll },
	{ "hold", do_hold },
};

/* In a moment QEMU is killed, asked to quit, or quits by itself (the guest's last vCPU says so). */
static int plan_end(struct ctx *c, int qemu_pid, const char *how)
{
	const struct probe_op leave = OP(OUT, .size = 4, .arg = EXIT_PORT, .value = 1);
	struct probe_op list[2] = { OP(CHECKSUM, .value = 5000000), leave };
	int signo = !strcmp(how, "term") ? SIGTERM : SIGKILL;
	pid_t child;

	if (!strcmp(how, "exit"))
		return guest_start(c, c->vcpus - 1, list, 2, 1);
	child = fork();
	CHECK(c, child >= 0, "no process to be had");
	if (child == 0) {
		sleep_ms(300);
		kill(qemu_pid, signo);
		_exit(0);
	}
	return 0;
}

/* After the end every call says the same, and nothing that was mapped is gone. */
static int check_gone(struct ctx *c)
{
	struct scry_regs regs;
	struct scry_event e;
	uint64_t value = 0;
	char byte;

	REFUSED(c, scry_read_phys(c->vm, c->probe.targets, &byte, 1), SCRY_E_GONE);
	REFUSED(c, scry_read_phys_u64(c->vm, c->probe.targets, &value), SCRY_E_GONE);
	REFUSED(c, scry_write_phys(c->vm, c->probe.scratch, &value, 8), SCRY_E_GONE);
	CHECK(c, !scry_phys_ptr(c->vm, c->probe.targets, 8), "a pointer into a VM that has ended");
	REFUSED(c, scry_regs_get(c->vm, 0, &regs), SCRY_E_GONE);
	REFUSED(c, scry_event_wait(c->vm, &e, 1, -1), SCRY_E_GONE);
	return 0;
}

int vm_end(struct ctx *c, int qemu_pid, const char *how, const char *what)
{
	doing_fn run = NULL;
	uint64_t start;
	int got;

	for (size_t i = 0; i < sizeof(doings) / sizeof(doings[0]); i++)
		if (!strcmp(doings[i].name, what))
			run = doings[i].run;
	CHECK(c, run, "a client cannot do '%s'", what);
	alarm(200);
	DO(plan_end(c, qemu_pid, how));
	start = now_ms();
	got = run(c);
	CHECK(c, got != -1 || !*c->why, "%s", c->why);
	CHECK(c, got == SCRY_E_GONE, "the VM has ended, but the call gave %d: %s", got, scry_errmsg());
	printf("gone after %llu ms: %s\n", (unsigned long long)(now_ms() - start), scry_errmsg());
	return check_gone(c);
}
