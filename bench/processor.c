/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "processor.h"

/* Whatever it was told before, of those that it may have. */
static int stay(pid_t thread, bool last)
{
	cpu_set_t set;
	int chosen = -1;

	memset(&set, 0xff, sizeof(set));
	if (sched_setaffinity(thread, sizeof(set), &set) < 0 ||
	    sched_getaffinity(thread, sizeof(set), &set) < 0)
		return -1;
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &set) && (chosen < 0 || last))
			chosen = i;
	CPU_ZERO(&set);
	CPU_SET(chosen, &set);
	return sched_setaffinity(thread, sizeof(set), &set);
}

int processor_stay(pid_t pid, bool last)
{
	struct dirent *entry;
	char path[40];
	int ret = 0;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)(pid ? pid : getpid()));
	tasks = opendir(path);
	while (tasks && !ret && (entry = readdir(tasks)))
		if (entry->d_name[0] != '.')
			ret = stay(atoi(entry->d_name), last);
	if (!tasks || ret < 0)
		bench_fail("a process cannot be kept on a processor: %s", strerror(errno));
	if (tasks)
		closedir(tasks);
	return tasks && !ret ? 0 : -1;
}
