/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <unistd.h>

#include "guest.h"

#define SYSENTER_EIP 0x176	/* no 32-bit program uses it here */
#define ROUNDS       200000u

/* Carry out the commands typed within ms milliseconds. */
static void obey(int ms)
{
	static char line[256];
	static size_t len;
	struct pollfd p = { .fd = 0, .events = POLLIN };
	double end = seconds() + ms / 1e3;

	do {
		int left = (int)((end - seconds()) * 1e3);
		char c;

		if (poll(&p, 1, left > 0 ? left : 0) <= 0 || read(0, &c, 1) != 1)
			continue;
		if (c != '\n' && len < sizeof(line) - 1) {
			line[len++] = c;
			continue;
		}
		line[len] = 0;
		len = 0;
		command_run(line);
	} while (seconds() < end);
}

static void tell_vendor(void)
{
	struct cpuid r = cpuid(0, 0);

	tell("vendor %.4s%.4s%.4s", (char *)&r.ebx, (char *)&r.edx, (char *)&r.ecx);
}

static void tell_wrmsr(void)
{
	uint64_t value = 0;

	if (!rdmsr(SYSENTER_EIP, &value) && !wrmsr(SYSENTER_EIP, value))
		tell("wrmsr 0x%x ok", SYSENTER_EIP);
	else
		tell("wrmsr 0x%x failed: %s", SYSENTER_EIP, strerror(errno));
}

static void demo(void)
{
	uint64_t sum = work_sum(ROUNDS);

	tell("ready");
	for (unsigned tick = 1;; tick++) {
		tell_vendor();
		tell_wrmsr();
		fork_some(3);
		tell("tick %u checksum %s", tick, work_sum(ROUNDS) == sum ? "OK" : "BAD");
		obey(400);
	}
}

static void idle(void)
{
	tell("ready");
	for (;;)
		obey(1000);
}

/* The same CPUID again and again, on vCPU 0. */
static void cpuid_loop(void)
{
	char leaf[16];
	uint32_t number;

	boot_option("scry.leaf", leaf, sizeof(leaf));
	number = (uint32_t)strtoul(leaf, NULL, 0);
	pin(0);
	tell("ready");
	for (;;) {
		double start = seconds();
		unsigned count = 0;

		for (; seconds() - start < 0.25; count += 1000)
			for (unsigned i = 0; i < 1000; i++)
				cpuid(number, 0);
		tell("cpuid %u iterations, %.0f ns each", count, (seconds() - start) / count * 1e9);
	}
}

/* A fixed amount of what programs do, then power off. */
static void work(void)
{
	double start;

	tell("ready");
	start = seconds();
	for (unsigned i = 0; i < 40; i++) {
		char *p = mmap(NULL, 1 << 22, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			       0);

		for (unsigned at = 0; p != MAP_FAILED && at < 1 << 22; at += 4096)
			p[at] = 1;
		if (p != MAP_FAILED)
			munmap(p, 1 << 22);
		fork_some(20);
		work_sum(2000000);
		for (unsigned n = 0; n < 2000; n++)
			getppid();
	}
	tell("work took %.3f s", seconds() - start);
	reboot(RB_POWER_OFF);
}

/* One vCPU's share of `checksum`: everything that is traced, and a sum that must be right. */
static void checksum_on(int cpu)
{
	uint64_t sum = work_sum(ROUNDS), value;

	pin(cpu);
	for (unsigned round = 1;; round++) {
		fork_some(2);
		for (unsigned i = 0; i < 100; i++)
			cpuid(0, 0);
		if (!rdmsr(SYSENTER_EIP, &value))
			wrmsr(SYSENTER_EIP, value);
		raise_int3(20);
		tell("cpu %d round %u %s", cpu, round, work_sum(ROUNDS) == sum ? "ok" : "BAD");
	}
}

static void checksum(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	for (int cpu = 0; cpu < cpus; cpu++) {
		if (!fork()) {
			checksum_on(cpu);
			_exit(0);
		}
	}
	idle();
}

static const struct {
	const char *name;
	void (*run)(void);
} modes[] = {
	{ "demo", demo },	{ "idle", idle },	  { "cpuid", cpuid_loop },
	{ "work", work },	{ "checksum", checksum },
};

int mode_run(const char *mode)
{
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (!strcmp(modes[i].name, mode))
			modes[i].run();
	tell("there is no mode '%s'", mode);
	reboot(RB_POWER_OFF);
	return 1;
}
