/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

/* A page of known content, and a page with a function that returns 42. */
static char *page;
static unsigned char *code;

static void *new_page(int protection)
{
	void *p = mmap(NULL, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (p == MAP_FAILED)
		tell("mmap: %s", strerror(errno));
	return p == MAP_FAILED ? NULL : p;
}

static void tell_place(const char *line, const void *p)
{
	tell("%s: pid %d va 0x%" PRIxPTR " gpa 0x%" PRIx64, line, getpid(), (uintptr_t)p, physical(p));
}

static void do_touch(const char *line, const char *arg)
{
	(void)arg;
	if (!page)
		page = new_page(PROT_READ | PROT_WRITE);
	if (!page)
		return;
	for (int i = 0; i < 4096; i++)
		page[i] = "scry guest page "[i % 16];
	tell_place(line, page);
}

static void do_peek(const char *line, const char *arg)
{
	(void)arg;
	tell("%s: %.16s", line, page ? page : "");
}

static void do_code(const char *line, const char *arg)
{
	static const unsigned char body[] = { 0xb8, 42, 0, 0, 0, 0xc3 };	/* mov $42,%eax; ret */

	(void)arg;
	if (!code)
		code = new_page(PROT_READ | PROT_WRITE | PROT_EXEC);
	if (!code)
		return;
	memcpy(code, body, sizeof(body));
	tell_place(line, code);
}

static void do_call(const char *line, const char *arg)
{
	int sum = 0;

	(void)arg;
	for (int i = 0; code && i < 1000; i++)
		sum = ((int (*)(void))(void *)code)();
	tell("%s: %d", line, sum);
}

/* Call it until it returns something else, at most 20 seconds. */
static void do_callwait(const char *line, const char *arg)
{
	double end = seconds() + 20;
	int value = 42;

	(void)arg;
	tell("calling");
	while (code && value == 42 && seconds() < end)
		for (int i = 0; i < 1000 && value == 42; i++)
			value = ((int (*)(void))(void *)code)();
	tell("%s: %d", line, value);
}

/* Two pages that this process never touches itself. */
static char *fresh;

static void do_fresh(const char *line, const char *arg)
{
	(void)arg;
	if (!fresh)
		fresh = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (fresh != MAP_FAILED)
		tell_place(line, fresh);
}

/* How many of them there are in memory. */
static void do_resident(const char *line, const char *arg)
{
	(void)arg;
	tell("%s: %d", line, (physical(fresh) != 0) + (physical(fresh + 4096) != 0));
}

static void do_cpuid(const char *line, const char *arg)
{
	struct cpuid r = cpuid((uint32_t)strtoul(arg, NULL, 0), 0);

	tell("%s: %08x %08x %08x %08x", line, r.eax, r.ebx, r.ecx, r.edx);
}

static void do_cpuids(const char *line, const char *arg)
{
	unsigned long count = strtoul(arg, NULL, 0);

	for (unsigned long i = 0; i < count; i++)
		cpuid(0x40000123, 7);
	tell("%s: done", line);
}

static void do_int3s(const char *line, const char *arg)
{
	raise_int3((unsigned)strtoul(arg, NULL, 0));
	tell("%s: done", line);
}

static void do_rdmsr(const char *line, const char *arg)
{
	uint64_t value;

	if (rdmsr((uint32_t)strtoul(arg, NULL, 0), &value) < 0)
		tell("%s: failed: %s", line, strerror(errno));
	else
		tell("%s: 0x%" PRIx64, line, value);
}

static void do_wrmsr(const char *line, const char *arg)
{
	char *end;
	uint32_t index = (uint32_t)strtoul(arg, &end, 0);

	if (wrmsr(index, strtoull(end, NULL, 0)) < 0)
		tell("%s: failed: %s", line, strerror(errno));
	else
		tell("%s: ok", line);
}

static void do_switches(const char *line, const char *arg)
{
	switch_processes((unsigned)strtoul(arg, NULL, 0));
	tell("%s: done", line);
}

/* So many MiB of memory, no page of which is like another. */
static void do_fill(const char *line, const char *arg)
{
	size_t words = strtoul(arg, NULL, 0) << 17;
	uint64_t *p = mmap(NULL, words * 8, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (size_t i = 0; p != MAP_FAILED && i < words; i++)
		p[i] = i * UINT64_C(0x9e3779b97f4a7c15) + 1;
	tell("%s: %s", line, p == MAP_FAILED ? "failed" : "done");
}

/* The address of a kernel symbol. */
static void do_symbol(const char *line, const char *arg)
{
	FILE *f = fopen("/proc/kallsyms", "re");
	char one[256], address[32], name[200];
	bool found = false;

	while (f && !found && fgets(one, sizeof(one), f))
		found = sscanf(one, "%31s %*s %199s", address, name) == 2 && !strcmp(name, arg + 1);
	if (f)
		fclose(f);
	tell("%s: %s", line, found ? address : "none");
}

static void do_time(const char *line, const char *arg)
{
	(void)arg;
	tell("%s: %.3f", line, seconds());
}

/* The ranges of System RAM in /proc/iomem, on one line. */
static void do_iomem(const char *line, const char *arg)
{
	char all[512] = "", one[128];
	FILE *f = fopen("/proc/iomem", "re");

	(void)arg;
	while (f && fgets(one, sizeof(one), f)) {
		if (one[0] == ' ' || !strstr(one, "System RAM"))
			continue;
		one[strcspn(one, " ")] = 0;
		snprintf(all + strlen(all), sizeof(all) - strlen(all), " %s", one);
	}
	if (f)
		fclose(f);
	tell("%s:%s", line, all);
}

static void do_people(const char *line, const char *arg)
{
	(void)arg;
	make_people();
	tell("%s: done", line);
}

/* A process that never leaves user mode by itself. */
static void do_spin(const char *line, const char *arg)
{
	(void)arg;
	if (!fork())
		for (;;)
			__asm__ volatile("");
	tell("%s: done", line);
}

/* System calls, and what each took. */
static void do_calls(const char *line, const char *arg)
{
	unsigned long count = strtoul(arg, NULL, 0);
	double start = seconds();

	for (unsigned long i = 0; i < count; i++)
		getppid();
	tell("%s: %.0f ns", line, (seconds() - start) / (double)count * 1e9);
}

/* The calls of a 32-bit program: see call32.S. */
static void do_call32(const char *line, const char *arg)
{
	int status = -1;
	pid_t pid = fork();

	(void)arg;
	if (!pid) {
		execl("/call32", "call32", NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	tell("%s: %d", line, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

static int alarm_pipe[2];

static void on_alarm(int signal)
{
	(void)signal;
	if (write(alarm_pipe[1], "", 1) < 0)
		_exit(1);
}

/* A process that sends SIGALRM to this one as soon as it sleeps. */
static pid_t alarm_when_asleep(void)
{
	char path[32], stat[256];
	pid_t us = getpid(), pid = fork();

	if (pid)
		return pid;
	snprintf(path, sizeof(path), "/proc/%d/stat", us);
	for (;;) {
		FILE *f = fopen(path, "re");
		const char *state = f && fgets(stat, sizeof(stat), f) ? strrchr(stat, ')') : NULL;

		if (f)
			fclose(f);
		if (!state || state[2] == 'S')
			break;
	}
	kill(us, SIGALRM);
	_exit(0);
}

/* Calls that a signal interrupts: one that is begun again, one that fails. */
static void do_interrupted(const char *line, const char *arg)
{
	struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	pid_t helper[2];
	int err;
	char c;

	(void)arg;
	if (pipe(alarm_pipe) < 0 || sigaction(SIGALRM, &action, NULL) < 0)
		return;
	helper[0] = alarm_when_asleep();
	if (read(alarm_pipe[0], &c, 1) != 1)
		tell("read: %s", strerror(errno));
	helper[1] = alarm_when_asleep();
	syscall(SYS_pause);
	err = errno;
	waitpid(helper[0], NULL, 0);
	waitpid(helper[1], NULL, 0);
	close(alarm_pipe[0]);
	close(alarm_pipe[1]);
	tell("%s: %s", line, strerror(err));
}

static void do_off(const char *line, const char *arg)
{
	(void)arg;
	tell("%s: good-bye", line);
	reboot(RB_POWER_OFF);
}

static const struct {
	const char *name;
	void (*run)(const char *line, const char *arg);
} commands[] = {
	{ "touch", do_touch }, { "peek", do_peek },   { "code", do_code },   { "call", do_call },
	{ "cpuid", do_cpuid }, { "cpuids", do_cpuids }, { "int3s", do_int3s }, { "rdmsr", do_rdmsr },
	{ "wrmsr", do_wrmsr }, { "time", do_time },   { "iomem", do_iomem }, { "off", do_off },
	{ "callwait", do_callwait }, { "switches", do_switches }, { "symbol", do_symbol },
	{ "fresh", do_fresh }, { "resident", do_resident }, { "people", do_people },
	{ "spin", do_spin },   { "calls", do_calls },  { "cat", proc_cat },   { "links", proc_links },
	{ "link", proc_link },
	{ "tasks", proc_tasks }, { "symbols", proc_symbols }, { "log", proc_log },
	{ "fill", do_fill }, { "call32", do_call32 }, { "interrupted", do_interrupted },
};

void command_run(char *line)
{
	size_t word = strcspn(line, " ");

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strlen(commands[i].name) != word || strncmp(commands[i].name, line, word))
			continue;
		commands[i].run(line, line + word);
		return;
	}
	tell("%s: there is no such command", line);
}
