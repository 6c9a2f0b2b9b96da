/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

void tell(const char *format, ...)
{
	char line[1024] = "guest: ";
	int len = 7, n;
	va_list ap;

	va_start(ap, format);
	n = vsnprintf(line + len, sizeof(line) - 8, format, ap);
	va_end(ap);
	len += n < (int)sizeof(line) - 8 ? n : (int)sizeof(line) - 9;
	line[len++] = '\n';
	if (write(1, line, (size_t)len) < 0)
		return;
}

/* Not from the environment: the kernel takes a dot for a module's parameter. */
void boot_option(const char *name, char *value, size_t size)
{
	char line[4096] = "";
	FILE *f = fopen("/proc/cmdline", "re");
	size_t len = strlen(name);

	value[0] = 0;
	if (f && !fgets(line, sizeof(line), f))
		line[0] = 0;
	if (f)
		fclose(f);
	for (char *word = strtok(line, " \n"); word; word = strtok(NULL, " \n"))
		if (!strncmp(word, name, len) && word[len] == '=')
			snprintf(value, size, "%s", word + len + 1);
}

struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid r = { .eax = leaf, .ecx = subleaf };

	__asm__ volatile("cpuid" : "+a"(r.eax), "=b"(r.ebx), "+c"(r.ecx), "=d"(r.edx));
	return r;
}

int rdmsr(uint32_t index, uint64_t *value)
{
	int fd = open("/dev/cpu/0/msr", O_RDONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return -1;
	ret = pread(fd, value, 8, index) == 8 ? 0 : -1;
	close(fd);
	return ret;
}

int wrmsr(uint32_t index, uint64_t value)
{
	int fd = open("/dev/cpu/0/msr", O_WRONLY | O_CLOEXEC), ret, saved;

	if (fd < 0)
		return -1;
	ret = pwrite(fd, &value, 8, index) == 8 ? 0 : -1;
	saved = errno;
	close(fd);
	errno = saved;
	return ret;
}

uint64_t physical(const void *p)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;

	if (fd < 0)
		return 0;
	if (pread(fd, &entry, 8, (off_t)((uintptr_t)p / 4096 * 8)) != 8)
		entry = 0;
	close(fd);
	/* Documentation/admin-guide/mm/pagemap: bits 0 to 54 are the frame, 63 = present. */
	return entry >> 63 ? (entry & ((UINT64_C(1) << 55) - 1)) * 4096 + ((uintptr_t)p & 4095) : 0;
}

double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void on_trap(int signal)
{
	(void)signal;	/* the kernel goes on behind the int3 */
}

void raise_int3(unsigned count)
{
	signal(SIGTRAP, on_trap);
	while (count--)
		__asm__ volatile("int3");
}

uint64_t work_sum(unsigned rounds)
{
	static uint8_t table[4096];
	uint64_t x = 1;

	memset(table, 0, sizeof(table));
	for (unsigned i = 0; i < rounds; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		table[x >> 52] = (uint8_t)(table[x >> 52] + x);
	}
	for (unsigned i = 0; i < sizeof(table); i++)
		x = x * 31 + table[i];
	return x;
}

void fork_some(unsigned count)
{
	while (count--) {
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		waitpid(pid, NULL, 0);
	}
}

void switch_processes(unsigned count)
{
	int there[2], back[2];
	char c = 0;
	pid_t pid;

	if (pipe(there) < 0 || pipe(back) < 0)
		return;
	pid = fork();
	if (!pid) {
		pin(0);
		while (read(there[0], &c, 1) == 1 && write(back[1], &c, 1) == 1 && c)
			;
		_exit(0);
	}
	pin(0);
	while (count--) {
		c = count > 0;
		if (write(there[1], &c, 1) != 1 || read(back[0], &c, 1) != 1)
			break;
	}
	waitpid(pid, NULL, 0);
	for (int i = 0; i < 2; i++) {
		close(there[i]);
		close(back[i]);
	}
}
