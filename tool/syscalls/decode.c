/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* System calls' arguments, for those that are met most; the others' are shown as numbers. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "syscalls.h"

#define DATA_SHOWN  32u
#define WORDS_SHOWN 16

/*
 * A letter an argument: d number, x hex, o mode in octal, s string, F folder's descriptor,
 * O flags of open, b bytes as long as the next argument says, B bytes as long as the
 * result says, a socket address, A array of strings, P protection, S signal.
 */
static const struct {
	const char *name, *args;
} known[] = {
	{ "read", "dBd" }, { "write", "dbd" }, { "open", "sOo" }, { "close", "d" },
	{ "stat", "sx" }, { "fstat", "dx" }, { "lstat", "sx" }, { "poll", "xdd" },
	{ "lseek", "ddd" }, { "mmap", "xdPxdx" }, { "mprotect", "xdP" }, { "munmap", "xd" },
	{ "brk", "x" }, { "rt_sigaction", "Sxxd" }, { "rt_sigprocmask", "dxxd" },
	{ "rt_sigreturn", "" }, { "ioctl", "dxx" }, { "pread64", "dBdd" }, { "pwrite64", "dbdd" },
	{ "readv", "dxd" }, { "writev", "dxd" }, { "access", "so" }, { "pipe", "x" },
	{ "select", "dxxxx" }, { "sched_yield", "" }, { "mremap", "xddxx" }, { "madvise", "xdd" },
	{ "dup", "d" }, { "dup2", "dd" }, { "pause", "" }, { "nanosleep", "xx" }, { "getpid", "" },
	{ "sendfile", "ddxd" }, { "socket", "ddd" }, { "connect", "dad" }, { "accept", "dxx" },
	{ "sendto", "dbdxad" }, { "recvfrom", "dBdxxx" }, { "sendmsg", "dxx" },
	{ "recvmsg", "dxx" }, { "shutdown", "dd" }, { "bind", "dad" }, { "listen", "dd" },
	{ "getsockname", "dxx" }, { "getpeername", "dxx" }, { "socketpair", "dddx" },
	{ "setsockopt", "dddxd" }, { "getsockopt", "dddxx" }, { "clone", "xxxxx" }, { "fork", "" },
	{ "vfork", "" }, { "execve", "sAx" }, { "exit", "d" }, { "wait4", "dxxx" },
	{ "kill", "dS" }, { "uname", "x" }, { "fcntl", "ddx" }, { "flock", "dd" }, { "fsync", "d" },
	{ "fdatasync", "d" }, { "truncate", "sd" }, { "ftruncate", "dd" }, { "getdents", "dxd" },
	{ "getcwd", "xd" }, { "chdir", "s" }, { "fchdir", "d" }, { "rename", "ss" },
	{ "mkdir", "so" }, { "rmdir", "s" }, { "creat", "so" }, { "link", "ss" }, { "unlink", "s" },
	{ "symlink", "ss" }, { "readlink", "sBd" }, { "chmod", "so" }, { "fchmod", "do" },
	{ "chown", "sdd" }, { "fchown", "ddd" }, { "lchown", "sdd" }, { "umask", "o" },
	{ "gettimeofday", "xx" }, { "getuid", "" }, { "getgid", "" }, { "setuid", "d" },
	{ "setgid", "d" }, { "geteuid", "" }, { "getegid", "" }, { "getppid", "" },
	{ "setpgid", "dd" }, { "setsid", "" }, { "statfs", "sx" }, { "prctl", "dxxxx" },
	{ "arch_prctl", "xx" }, { "chroot", "s" }, { "mount", "sssxx" }, { "umount2", "sx" },
	{ "reboot", "xxxx" }, { "gettid", "" }, { "futex", "xddxxx" }, { "getdents64", "dxd" },
	{ "set_tid_address", "x" }, { "clock_gettime", "dx" }, { "clock_nanosleep", "ddxx" },
	{ "exit_group", "d" }, { "epoll_wait", "dxdd" }, { "epoll_ctl", "dddx" },
	{ "tgkill", "ddS" }, { "openat", "FsOo" }, { "mkdirat", "Fso" }, { "newfstatat", "Fsxx" },
	{ "unlinkat", "Fsx" }, { "renameat", "FsFs" }, { "linkat", "FsFsx" }, { "symlinkat", "sFs" },
	{ "readlinkat", "FsBd" }, { "fchmodat", "Fso" }, { "faccessat", "Fso" },
	{ "ppoll", "xdxxd" }, { "pselect6", "dxxxxx" }, { "set_robust_list", "xd" },
	{ "epoll_pwait", "dxddxd" }, { "accept4", "dxxx" }, { "eventfd2", "dx" },
	{ "epoll_create1", "x" }, { "dup3", "ddx" }, { "pipe2", "xx" }, { "inotify_add_watch", "dsx" },
	{ "prlimit64", "ddxx" }, { "renameat2", "FsFsx" }, { "getrandom", "xdx" },
	{ "memfd_create", "sx" }, { "execveat", "FsAxx" }, { "statx", "Fsxxx" },
	{ "faccessat2", "Fsox" }, { "openat2", "Fsxd" }, { "finit_module", "dsx" },
	{ "init_module", "xds" }, { "delete_module", "sx" }, { "clone3", "xd" },
	{ "rseq", "xdxx" },
};

static const char *args_of(const char *name, bool i386)
{
	if (i386 && syscall_i386_args(name))
		return syscall_i386_args(name);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcmp(known[i].name, name))
			return known[i].args;
	return "xxxxxx";
}

static void add(struct syscall *call, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void add(struct syscall *call, const char *format, ...)
{
	size_t used = strlen(call->text);
	va_list ap;

	va_start(ap, format);
	vsnprintf(call->text + used, sizeof(call->text) - used, format, ap);
	va_end(ap);
}

size_t syscall_read_user(const struct user_memory *memory, uint64_t gva, void *buf, size_t len)
{
	size_t done = 0;

	while (memory->as && done < len) {
		size_t page = 4096 - (gva + done) % 4096, n = len - done < page ? len - done : page;

		if (scry_read_virt(memory->as, gva + done, (char *)buf + done, n) < 0)
			break;
		done += n;
	}
	return done;
}

static void add_quoted(struct syscall *call, const char *bytes, size_t len, bool more)
{
	char shown[4 * 256 + 1] = "", *to = shown;

	for (size_t i = 0; i < len && i < 256; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (c == '"' || c == '\\')
			to += sprintf(to, "\\%c", c);
		else if (c == '\n')
			to += sprintf(to, "\\n");
		else if (c >= 0x20 && c < 0x7f)
			*to++ = (char)c;
		else
			to += sprintf(to, "\\x%02x", c);
	}
	*to = 0;
	add(call, "\"%s\"%s", shown, more ? "..." : "");
}

static void add_string(const struct user_memory *memory, struct syscall *call, uint64_t gva)
{
	char text[256];
	size_t there = syscall_read_user(memory, gva, text, sizeof(text)), len = strnlen(text, there);

	if (!gva)
		add(call, "NULL");
	else if (!there)
		add(call, "0x%" PRIx64, gva);
	else
		add_quoted(call, text, len, len == there);
}

static void add_data(const struct user_memory *memory, struct syscall *call, uint64_t gva, uint64_t len)
{
	char text[DATA_SHOWN];
	size_t there = syscall_read_user(memory, gva, text, len < DATA_SHOWN ? len : DATA_SHOWN);

	if (!there && len)
		add(call, "0x%" PRIx64, gva);
	else
		add_quoted(call, text, there, there < len);
}

static void add_words(const struct user_memory *memory, struct syscall *call, uint64_t gva)
{
	const size_t size = call->i386 ? 4 : 8;

	add(call, "[");
	for (int i = 0; i < WORDS_SHOWN; i++, gva += size) {
		uint64_t word = 0;

		if (syscall_read_user(memory, gva, &word, size) < size || !word)
			break;
		add(call, "%s", i ? ", " : "");
		add_string(memory, call, word);
	}
	add(call, "]");
}

struct name_of_bit {
	uint64_t bit;
	const char *name;
};

static void add_bits(struct syscall *call, uint64_t value, const struct name_of_bit *names, bool any)
{
	for (; names->name; names++) {
		if (!(value & names->bit) || (value & names->bit) != names->bit)
			continue;
		add(call, "%s%s", any ? "|" : "", names->name);
		value &= ~names->bit;
		any = true;
	}
	if (value || !any)
		add(call, "%s0x%" PRIx64, any ? "|" : "", value);
}

static void add_open_flags(struct syscall *call, uint64_t value)
{
	static const struct name_of_bit names[] = {
		{ O_CREAT, "O_CREAT" }, { O_EXCL, "O_EXCL" }, { O_NOCTTY, "O_NOCTTY" },
		{ O_TRUNC, "O_TRUNC" }, { O_APPEND, "O_APPEND" }, { O_NONBLOCK, "O_NONBLOCK" },
		{ O_TMPFILE, "O_TMPFILE" }, { O_DIRECTORY, "O_DIRECTORY" }, { O_SYNC, "O_SYNC" },
		{ O_DIRECT, "O_DIRECT" }, { 0100000, "O_LARGEFILE" }, { O_NOFOLLOW, "O_NOFOLLOW" },
		{ O_CLOEXEC, "O_CLOEXEC" }, { O_PATH, "O_PATH" }, { 0, NULL },
	};
	static const char *const access[] = { "O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE" };

	add(call, "%s", access[value & O_ACCMODE]);
	value &= ~(uint64_t)O_ACCMODE;
	if (value)
		add_bits(call, value, names, true);
}

static void add_protection(struct syscall *call, uint64_t value)
{
	static const struct name_of_bit names[] = {
		{ PROT_READ, "PROT_READ" }, { PROT_WRITE, "PROT_WRITE" }, { PROT_EXEC, "PROT_EXEC" },
		{ 0, NULL },
	};

	if (value)
		add_bits(call, value, names, false);
	else
		add(call, "PROT_NONE");
}

static void add_address(const struct user_memory *memory, struct syscall *call, uint64_t gva,
			uint64_t len)
{
	struct sockaddr_storage a = { 0 };
	const struct sockaddr_in *in = (const void *)&a;
	const struct sockaddr_in6 *in6 = (const void *)&a;
	char text[INET6_ADDRSTRLEN] = "?";

	if (!gva || len > sizeof(a) || len < 2 || syscall_read_user(memory, gva, &a, len) < len) {
		add(call, gva ? "0x%" PRIx64 : "NULL", gva);
	} else if (a.ss_family == AF_INET) {
		inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
		add(call, "%s:%u", text, ntohs(in->sin_port));
	} else if (a.ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
		add(call, "[%s]:%u", text, ntohs(in6->sin6_port));
	} else if (a.ss_family == AF_UNIX) {
		add(call, "unix:");
		add_quoted(call, (const char *)&a + 2, strnlen((const char *)&a + 3, len - 3) + 1,
			   false);
	} else {
		add(call, "family %u", a.ss_family);
	}
}

static void add_signal(struct syscall *call, uint64_t value)
{
	const char *name = sigabbrev_np((int)value);

	if (name)
		add(call, "SIG%s", name);
	else
		add(call, "%" PRIu64, value);
}

static void add_arg(const struct user_memory *memory, struct syscall *call, char kind, int i)
{
	uint64_t value = call->arg[i], next = i + 1 < SYSCALL_ARGS ? call->arg[i + 1] : 0;

	if (kind == 's')
		add_string(memory, call, value);
	else if (kind == 'F' && (int32_t)value == AT_FDCWD)
		add(call, "AT_FDCWD");
	else if (kind == 'd' || kind == 'F')
		add(call, "%" PRId64, value >> 32 ? (int64_t)value : (int32_t)value);
	else if (kind == 'o')
		add(call, "0%" PRIo64, value);
	else if (kind == 'O')
		add_open_flags(call, value);
	else if (kind == 'P')
		add_protection(call, value);
	else if (kind == 'S')
		add_signal(call, value);
	else if (kind == 'a')
		add_address(memory, call, value, next & 0xffffffff);
	else if (kind == 'A')
		add_words(memory, call, value);
	else if (kind == 'b')
		add_data(memory, call, value, next);
	else if (kind == 'B' && call->returned && call->result > 0)
		add_data(memory, call, value, (uint64_t)call->result);
	else
		add(call, "0x%" PRIx64, value);
}

static bool opens_nothing_new(const char *name, const struct syscall *call)
{
	int i = !strcmp(name, "openat") ? 2 : !strcmp(name, "open") ? 1 : -1;

	return i >= 0 && !(call->arg[i] & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)));
}

static void decode_from(struct user_memory *memory, const char *name, struct syscall *call,
			size_t from)
{
	const char *args = args_of(name, call->i386);
	size_t count = strlen(args);

	if (opens_nothing_new(name, call))
		count--;		/* no mode */
	for (size_t i = from; i < count; i++) {
		if (args[i] == 'B' && !call->returned && call->outputs == SYSCALL_ARGS) {
			call->outputs = i;
			call->outputs_at = strlen(call->text);
		}
		add(call, "%s", i ? ", " : "");
		add_arg(memory, call, args[i], (int)i);
	}
}

void syscall_decode(struct user_memory *memory, const char *name, struct syscall *call)
{
	call->text[0] = 0;
	call->outputs = SYSCALL_ARGS;
	decode_from(memory, name, call, 0);
}

bool syscall_has_outputs(const struct syscall *call)
{
	return call->outputs < SYSCALL_ARGS;
}

/* Behind the first there are but numbers. */
void syscall_decode_outputs(struct user_memory *memory, const char *name, struct syscall *call)
{
	call->text[call->outputs_at] = 0;
	decode_from(memory, name, call, call->outputs);
}

/* Which no program ever sees. */
const char *syscall_restart(const struct syscall *call)
{
	if (!call->returned)
		return NULL;
	switch (-(uint64_t)call->result) {
	case 512: return "ERESTARTSYS";
	case 513: return "ERESTARTNOINTR";
	case 514: return "ERESTARTNOHAND";
	case 516: return "ERESTART_RESTARTBLOCK";
	default: return NULL;
	}
}

bool syscall_failed(const struct syscall *call)
{
	return call->returned && call->result < 0 && call->result >= -4095 &&
	       !syscall_restart(call);
}

void syscall_result(const struct syscall *call, char *buf, size_t size)
{
	const char *name;

	if (!call->returned) {
		snprintf(buf, size, "?");
	} else if (syscall_restart(call)) {
		snprintf(buf, size, "? %s", syscall_restart(call));
	} else if (syscall_failed(call)) {
		name = strerrorname_np((int)-call->result);
		snprintf(buf, size, "-1 %s", name ? name : "?");
		if (!name)
			snprintf(buf, size, "%" PRId64, call->result);
	} else if (call->result > INT32_MAX || call->result < INT32_MIN) {
		snprintf(buf, size, "0x%" PRIx64, (uint64_t)call->result);
	} else {
		snprintf(buf, size, "%" PRId64, call->result);
	}
}
