/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_SYSTRACE_H
#define TOOL_SYSTRACE_H

#include "syscalls.h"

#define SYSTRACE_NAMES 64

/* One run of "scry syscalls". */
struct systrace {
	struct guest guest;
	int32_t pid;			/* 0 = all */
	const char *comm;		/* NULL = all */
	const char *names[SYSTRACE_NAMES];
	size_t name_count;		/* 0 = all */
	bool failed, stat, json;
	uint64_t most;			/* 0 = no end */
	unsigned ms;			/* 0 = no end */

	char *name_of[SYSCALLS_KNOWN];	/* by number, from the guest */
	bool by_breakpoint;		/* entries are told by a breakpoint, not by SYSCALL events */
	bool returns;			/* results are told, too */
	uint32_t entry, exit;		/* numbers of breakpoints */
	uint32_t sp_ax;			/* where in struct pt_regs the result is */
	struct scry_linux_member entry_reg[SYSCALL_ARGS + 1];	/* arguments, number */
	struct user_memory memory;
	void *pending;			/* tree of calls that have not returned, by task */
	size_t pending_count;
	uint64_t began, flushed, shown;
	uint64_t lost;			/* calls of which was not to be read what or whose they are */
	uint64_t calls[SYSCALLS_KNOWN + 1], errors[SYSCALLS_KNOWN + 1];	/* last: of other numbers */
};

/* Arm, show, and sum up: the exit status. */
int systrace_run(struct systrace *trace);

/* systrace_arm.c: names of the calls, subscriptions and breakpoints: 0 or EXIT_FAILURE. */
int systrace_arm(struct systrace *trace);

/* systrace_show.c: a call that has returned or never will; and the sums. */
void systrace_show(struct systrace *trace, const struct syscall *call);
void systrace_sum(struct systrace *trace);
const char *systrace_name(struct systrace *trace, uint32_t number, char buf[32]);

#endif
