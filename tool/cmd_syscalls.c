/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "common/stop.h"
#include "common/target.h"
#include "syscalls/trace.h"

enum { KEY_PID = KEY_FIRST_OWN, KEY_COMM, KEY_FAILED, KEY_FOR, KEY_STAT };

static void add_names(struct args *args, struct systrace *t, char *list)
{
	for (char *name; (name = strsep(&list, ","));) {
		name_arg(args, "a name of -e", name);
		if (t->name_count == SYSTRACE_NAMES)
			usage_error(args, "these are too many names: at most %d", SYSTRACE_NAMES);
		t->names[t->name_count++] = name;
	}
}

static const char *comm_arg(struct args *args, const char *text)
{
	const size_t most = sizeof(((struct scry_linux_task *)0)->comm) - 1;

	if (strlen(text) > most)
		usage_error(args, "--comm %s: a process's name has %zu characters at most", text, most);
	return name_arg(args, "--comm", text);
}

static const char *parse(struct args *args, struct systrace *t)
{
	const char *uri;
	int key;

	while ((key = next_option(args)) >= 0) {
		if (key == KEY_PID)
			t->pid = pid_arg(args, optarg);
		else if (key == KEY_COMM)
			t->comm = comm_arg(args, optarg);
		else if (key == 'e')
			add_names(args, t, optarg);
		else if (key == KEY_FAILED)
			t->failed = true;
		else if (key == 'n')
			t->most = count_arg(args, optarg);
		else if (key == KEY_FOR)
			t->ms = seconds_arg(args, optarg);
		else if (key == KEY_STAT)
			t->stat = true;
		else
			t->json = true;
	}
	uri = next_word(args, "VM");
	no_more_words(args);
	return uri;
}

/* A filter that nothing can pass is a slip of the user's. */
static int check_pid(struct systrace *t)
{
	struct scry_linux_task task;

	return t->pid ? guest_task(&t->guest, t->pid, &task) : 0;
}

static int run(struct args *args)
{
	struct systrace *t = checked(calloc(1, sizeof(*t)));
	const char *uri = parse(args, t);
	int ret;

	if (guest_open(&t->guest, uri)) {
		free(t);
		return EXIT_FAILURE;
	}
	ret = check_pid(t);
	guest_release(&t->guest);
	stop_on_signals();
	if (!ret)
		ret = systrace_run(t);
	guest_close(&t->guest);
	free(t);
	return ret;
}

const struct command cmd_syscalls = {
	.name = "syscalls",
	.summary = "system calls of all of a Linux guest's processes, as strace shows them",
	.usage = "[OPTIONS] VM",
	.about = "Shows each system call of a Linux guest's processes with its arguments and result, as\n"
		 "strace(1) would inside, but of the whole guest, and with nothing in it that a\n"
		 "process could see. Until Ctrl-C, COUNT calls, or SECONDS.",
	.opts = (const struct opt[]){
		{ KEY_PID, "pid", "PID", "only of this process" },
		{ KEY_COMM, "comm", "NAME", "only of processes of that name" },
		{ 'e', "only", "NAME,...", "only these calls" },
		{ KEY_FAILED, "failed", NULL, "only those that fail" },
		{ 'n', "count", "COUNT", "end after so many calls" },
		{ KEY_FOR, "for", "SECONDS", "end after that time" },
		{ KEY_STAT, "stat", NULL, "no calls, but how many of each there were" },
		{ KEY_JSON, "json", NULL, "one line of JSON a call" },
		{ 0 },
	},
	.example = "scry syscalls web --comm nginx -e openat,connect\n"
		   "scry syscalls web --failed --for 10\n"
		   "scry syscalls web --stat --for 5",
	.run = run,
};
