/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_SYSCALLS_H
#define TOOL_SYSCALLS_H

#include "guest.h"

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
};

/* What reads the caller's memory: one address space is kept open. */
struct user_memory {
	struct scry_vm *vm;
	struct scry_as *as;
	enum scry_paging_mode mode;
};

/* The arguments as strace(1) would show them, into call->text; out ones once it has returned. */
void syscall_decode(struct user_memory *memory, const char *name, struct syscall *call);

/* sysi386.c: NULL = no such call; its arguments, NULL = as those of the 64-bit call. */
const char *syscall_i386_name(uint32_t number);
const char *syscall_i386_args(const char *name);

/* Bytes of the caller's up to what is not there: how many. */
size_t syscall_read_user(const struct user_memory *memory, uint64_t gva, void *buf, size_t len);

/* The result: "3", "-1 ENOENT", "0x7f1234"; "? ERESTARTSYS" where a signal has interrupted it. */
void syscall_result(const struct syscall *call, char *buf, size_t size);
static inline bool syscall_failed(const struct syscall *call)
{
	return call->returned && call->result < 0 && call->result >= -4095;
}

#endif
