/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What /proc says, on the console: "guest: | ..." before the line that answers. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest.h"

/* As scry shows it: what is no printable ASCII as \xNN, ends of lines as they are. */
static void tell_bytes(const unsigned char *p, size_t len)
{
	char text[600];
	size_t at = 0;

	for (size_t i = 0; i < len; i++) {
		if (p[i] >= 0x20 && p[i] < 0x7f)
			text[at++] = (char)p[i];
		else if (p[i] != '\n')
			at += (size_t)sprintf(text + at, "\\x%02x", p[i]);
		if (p[i] == '\n' || at > sizeof(text) - 8 || i == len - 1) {
			text[at] = 0;
			tell("| %s", text);
			at = 0;
		}
	}
}

static size_t read_all(const char *path, unsigned char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	while (fd >= 0 && len < size && (n = read(fd, buf + len, size - len)) > 0)
		len += (size_t)n;
	close(fd);
	return len;
}

void proc_cat(const char *line, const char *arg)
{
	static unsigned char buf[65536];

	tell_bytes(buf, read_all(arg + 1, buf, sizeof(buf)));
	tell("%s: done", line);
}

/* Call fn for each entry of a folder that is a number. */
static void each_number(const char *path, void (*fn)(const char *path, const char *name))
{
	DIR *dir = opendir(path);
	struct dirent *e;

	while (dir && (e = readdir(dir)))
		if (atoi(e->d_name) || !strcmp(e->d_name, "0"))
			fn(path, e->d_name);
	if (dir)
		closedir(dir);
}

static void tell_link(const char *path, const char *name)
{
	char from[1100], to[512];
	ssize_t n;

	snprintf(from, sizeof(from), "%s/%s", path, name);
	n = readlink(from, to, sizeof(to) - 1);
	if (n >= 0)
		tell("| %s %.*s", name, (int)n, to);
}

void proc_links(const char *line, const char *arg)
{
	each_number(arg + 1, tell_link);
	tell("%s: done", line);
}

/* Where one link leads. */
void proc_link(const char *line, const char *arg)
{
	char to[512];
	ssize_t n = readlink(arg + 1, to, sizeof(to) - 1);

	tell("%s: %.*s", line, n < 0 ? 0 : (int)n, to);
}

/* A field of a file as "Uid:\t0 ...", as a number. */
static unsigned long field(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtoul(at + strlen(name), NULL, 10) : 0;
}

static void tell_task(const char *path, const char *name)
{
	char file[1100], stat[1024], status[4096];
	char *end;

	snprintf(file, sizeof(file), "%s/%s/stat", path, name);
	stat[read_all(file, (unsigned char *)stat, sizeof(stat) - 1)] = 0;
	snprintf(file, sizeof(file), "%s/%s/status", path, name);
	status[read_all(file, (unsigned char *)status, sizeof(status) - 1)] = 0;
	end = strrchr(stat, ')');
	if (!end || !status[0])
		return;
	*end = 0;
	end[1 + strcspn(end + 1, "\n")] = 0;
	tell("| %lu %s %lu %lu %lu %lu %lu%s \\%s", field(status, "\nTgid:"), name,
	     field(status, "\nUid:"), field(status, "\nGid:"), field(status, "\nThreads:"),
	     field(status, "\nVmSize:"), field(status, "\nVmRSS:"), end + 1, strchr(stat, '(') + 1);
}

static void tell_process(const char *path, const char *name)
{
	char tasks[512];

	snprintf(tasks, sizeof(tasks), "%s/%s/task", path, name);
	each_number(tasks, tell_task);
}

/* Of each thread: tgid tid uid gid threads VmSize VmRSS, /proc's stat from its third field, \comm */
void proc_tasks(const char *line, const char *arg)
{
	(void)arg;
	each_number("/proc", tell_process);
	tell("%s: done", line);
}

static uint32_t add_hash(uint32_t h, const char *text)
{
	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 16777619u;
	return h;
}

/* Those of one module. */
static void tell_symbols_of(FILE *f, const char *module)
{
	char one[600], word[80];

	snprintf(word, sizeof(word), "\t[%s]\n", module);
	while (fgets(one, sizeof(one), f))
		if (strstr(one, word))
			tell_bytes((const unsigned char *)one, strlen(one));
}

/*
 * How many symbols of the kernel itself there are, and a sum (FNV-1a) of their lines; and
 * before that all of a module, if one is named.
 */
void proc_symbols(const char *line, const char *arg)
{
	FILE *f = fopen("/proc/kallsyms", "re");
	uint32_t h = 2166136261u;
	unsigned count = 0;
	char one[600];

	if (f && arg[0]) {
		tell_symbols_of(f, arg + 1);
		rewind(f);
	}
	for (; f && fgets(one, sizeof(one), f); count++) {
		if (strchr(one, '['))	/* a module's: they come last */
			break;
		h = add_hash(h, one);
	}
	if (f)
		fclose(f);
	tell("%s: %u %08x", line, count, h);
}

/* The same of the records of the kernel's log: "level,sequence,microseconds;text". */
void proc_log(const char *line, const char *arg)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	uint32_t h = 2166136261u;
	unsigned count = 0;
	char one[9000], head[80];
	ssize_t n;

	(void)arg;
	while (fd >= 0 && ((n = read(fd, one, sizeof(one) - 1)) > 0 || errno == EPIPE)) {
		unsigned long long level, sequence, time;
		char *text;

		if (n <= 0)
			continue;
		one[n] = 0;
		text = strchr(one, ';');
		if (!text || sscanf(one, "%llu,%llu,%llu", &level, &sequence, &time) != 3)
			continue;
		text[strcspn(text, "\n")] = 0;	/* behind it: what device it is of */
		snprintf(head, sizeof(head), "%llu,%llu,%llu", level & 7, sequence, time);
		h = add_hash(add_hash(h, head), text);
		count++;
	}
	close(fd);
	tell("%s: %u %08x", line, count, h);
}
