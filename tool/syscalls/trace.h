/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_SYSCALLS_TRACE_H
#define TOOL_SYSCALLS_TRACE_H

#include "syscalls.h"

#define SYSTRACE_NAMES 64

/* Functions of the kernel that carry out a call, with its struct pt_regs for their argument. */
enum entrance {
	ENTRY_64,	/* where there are no SYSCALL events: of 64-bit programs */
	ENTRY_INT80,	/* of 32-bit programs: by int 0x80, */
	ENTRY_FAST,	/* and by SYSENTER or SYSCALL */
	ENTRY_COUNT
};

#define FRAME_MOST 256u		/* bytes of struct pt_regs: it has 168 */

/* Where a call's number and arguments lie in that. */
struct frame {
	uint32_t number, arg[SYSCALL_ARGS];
};

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
	bool returns;			/* results are told, too */
	bool exit_by_stack;		/* at the breakpoint `exit` struct pt_regs is at rsp, not at rdi */
	uint32_t exit;			/* number of a breakpoint */
	struct {
		bool armed;
		uint32_t breakpoint;
		struct frame frame;
	} entry[ENTRY_COUNT];
	uint32_t frame_size, ax, sp;	/* of struct pt_regs, and where in it */
	struct user_memory memory;
	void *pending;			/* tree of calls that have not returned, by task */
	size_t pending_count;
	uint64_t began, flushed, shown;
	uint64_t lost;			/* calls of which was not to be read what or whose they are */
	/* By number, last of others; [1]: of 32-bit programs. */
	uint64_t calls[2][SYSCALLS_KNOWN + 1], errors[2][SYSCALLS_KNOWN + 1];
};

/* Arm, show, and sum up: the exit status. */
int systrace_run(struct systrace *trace);

/* systrace_arm.c: names of the calls, subscriptions and breakpoints: 0 or EXIT_FAILURE. */
int systrace_arm(struct systrace *trace);

/* systrace_show.c: a call that has returned or never will; and the sums. */
void systrace_show(struct systrace *trace, const struct syscall *call);
void systrace_sum(struct systrace *trace);
const char *systrace_name(const struct systrace *trace, bool i386, uint32_t number, char buf[32]);
static inline const char *systrace_name_of(const struct systrace *trace, const struct syscall *call,
					   char buf[32])
{
	return systrace_name(trace, call->i386, call->number, buf);
}

#endif
