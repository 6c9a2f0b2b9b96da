/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What differs in system calls of 32-bit programs: their numbers, and some arguments. */
#include <string.h>

#include "syscalls.h"

/* The kernel has no table of these that could be read: its numbers are for ever, though. */
static const char *const names[SYSCALLS_KNOWN] = {
#include "i386names.h"
};

/* Where the arguments are not those of the 64-bit call of that name (see sysdecode.c). */
static const struct {
	const char *name, *args;
} known[] = {
	{ "mmap", "x" }, { "mmap2", "xdPxdx" }, { "select", "x" }, { "waitpid", "dxx" },
	{ "pread64", "dBddd" }, { "pwrite64", "dbddd" }, { "truncate64", "sdd" },
	{ "ftruncate64", "ddd" }, { "stat64", "sx" }, { "lstat64", "sx" }, { "fstat64", "dx" },
	{ "fstatat64", "Fsxx" }, { "fcntl64", "ddx" }, { "_llseek", "dxxxd" }, { "_newselect", "dxxxx" },
	{ "getuid32", "" }, { "getgid32", "" }, { "geteuid32", "" }, { "getegid32", "" },
	{ "setuid32", "d" }, { "setgid32", "d" }, { "sigreturn", "" }, { "nice", "d" }, { "umount", "s" },
	{ "time", "x" }, { "signal", "Sx" }, { "statfs64", "sdx" }, { "socketcall", "dx" },
	{ "clock_gettime64", "dx" }, { "futex_time64", "xddxxx" },
};

const char *syscall_i386_name(uint32_t number)
{
	return number < SYSCALLS_KNOWN ? names[number] : NULL;
}

const char *syscall_i386_args(const char *name)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcmp(known[i].name, name))
			return known[i].args;
	return NULL;
}
