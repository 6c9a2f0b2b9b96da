/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_SYSCALLS_H
#define TOOL_SYSCALLS_H

#include "../common/guest.h"

#define SYSCALLS_KNOWN 512	/* numbers */
#define SYSCALL_ARGS   6
#define SYSCALL_TEXT   2048	/* of all arguments */

/* One call, from its entry on. */
struct syscall {
	uint64_t task;			/* address of the caller's task_struct */
	struct scry_linux_task who;
	uint64_t cr3, time_ns;
	uint32_t number;
	bool i386;			/* one of those that 32-bit programs make */
	uint64_t arg[SYSCALL_ARGS];
	int64_t result;
	bool returned;
	char text[SYSCALL_TEXT];	/* its arguments, as far as they are known at entry */
	size_t outputs, outputs_at;	/* the first that only its return tells, and where in text */
};

/* What reads the caller's memory: one address space is kept open. */
struct user_memory {
	struct scry_vm *vm;
	struct scry_as *as;
	enum scry_paging_mode mode;
};

/* The arguments as strace(1) would show them, into call->text. */
void syscall_decode(struct user_memory *memory, const char *name, struct syscall *call);

/*
 * Once it has returned: those that the kernel has written.  What it has read may be another's by
 * then, or gone, and stays as it was at entry.
 */
bool syscall_has_outputs(const struct syscall *call);
void syscall_decode_outputs(struct user_memory *memory, const char *name, struct syscall *call);

/* sysi386.c: NULL = no such call; its arguments, NULL = as those of the 64-bit call. */
const char *syscall_i386_name(uint32_t number);
const char *syscall_i386_args(const char *name);

/* Bytes of the caller's up to what is not there: how many. */
size_t syscall_read_user(const struct user_memory *memory, uint64_t gva, void *buf, size_t len);

/* The result: "3", "-1 ENOENT", "0x7f1234"; "? ERESTARTSYS" where a signal has interrupted it. */
void syscall_result(const struct syscall *call, char *buf, size_t size);
/* "ERESTARTSYS": how a call that a signal has interrupted is to go on; else NULL. */
const char *syscall_restart(const struct syscall *call);
bool syscall_failed(const struct syscall *call);

#endif
