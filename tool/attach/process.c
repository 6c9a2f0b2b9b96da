/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attach.h"
#include "common/message.h"

int process_read(const struct process *p, uint64_t address, void *data, size_t len)
{
	return pread(p->mem, data, len, (off_t)address) == (ssize_t)len ? 0 : -1;
}

int process_write(const struct process *p, uint64_t address, const void *data, size_t len)
{
	return pwrite(p->mem, data, len, (off_t)address) == (ssize_t)len ? 0 : -1;
}

void make_printable(char *text)
{
	for (; *text; text++)
		if (!isprint((unsigned char)*text))
			*text = ' ';
}

void process_string(const struct process *p, uint64_t address, char *text, size_t size)
{
	ssize_t n = pread(p->mem, text, size - 1, (off_t)address);

	text[n > 0 ? n : 0] = '\0';
	make_printable(text);
}

bool mapping_find(const struct process *p, bool (*fn)(const struct mapping *m, const void *opaque),
		  const void *opaque, struct mapping *found)
{
	int fd = openat(p->dir, "maps", O_RDONLY | O_CLOEXEC);
	FILE *maps = fd < 0 ? NULL : fdopen(fd, "r");
	char line[1200];
	bool is = false;

	while (maps && !is && fgets(line, sizeof(line), maps)) {
		*found = (struct mapping){ 0 };
		is = sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64 " %*s %" SCNu64 " %1023[^\n]",
			    &found->begin, &found->end, &found->offset, &found->inode,
			    found->path) == 5 && fn(found, opaque);
	}
	if (maps)
		fclose(maps);
	return is;
}

static int no_access(const struct process *p, const char *what)
{
	char scope = '0';
	int err = errno, fd = open("/proc/sys/kernel/yama/ptrace_scope", O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && read(fd, &scope, 1) != 1)
		scope = '0';
	if (fd >= 0)
		close(fd);
	if (err == ESRCH || err == ENOENT)
		return fail("process %d has ended", p->pid);
	if (err != EPERM && err != EACCES)
		return fail("cannot %s process %d: %s", what, p->pid, strerror(err));
	return fail("cannot %s process %d: %s", what, p->pid, scope == '0' ?
		    "run as root, or as its user" :
		    "run as root: Yama lets nobody else (/proc/sys/kernel/yama/ptrace_scope)");
}

/* Has it a virtual machine of KVM's? */
static bool has_kvm(const struct process *p)
{
	int fd = openat(p->dir, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	char link[32];
	bool has = false;

	while (dir && !has && (entry = readdir(dir))) {
		ssize_t n = readlinkat(fd, entry->d_name, link, sizeof(link) - 1);

		link[n > 0 ? n : 0] = '\0';
		has = !strcmp(link, "anon_inode:kvm-vm");
	}
	if (dir)
		closedir(dir);
	return has;
}

static bool begins_file(const struct mapping *m, const void *inode)
{
	return !m->offset && m->inode == *(const ino_t *)inode;
}

/* QEMU's own file: what it exports, and where that lies. */
static int look_at_executable(struct process *p)
{
	struct wanted_symbol wanted[] = { { .name = "qemu_init" }, { .name = "kvm_vcpu_ioctl" } };
	struct mapping m;
	struct stat st;

	if (fstat(p->exe, &st) < 0 || !mapping_find(p, begins_file, &st.st_ino, &m) ||
	    !symbols_find(p->exe, m.begin, wanted, 2) || !wanted[0].address || !wanted[1].address)
		return fail("process %d is no QEMU whose symbols are exported, as the distributions' 7.2 "
			    "and 10.0 are", p->pid);
	p->spare = wanted[0].address;
	p->spare_size = wanted[0].size;
	return has_kvm(p) ? 0 :
	       fail("process %d is a QEMU that has no VM under KVM: into one that runs under TCG the "
		    "agent must be loaded when it starts, by 'scry run' or -plugin", p->pid);
}

static bool contains(const struct mapping *m, const void *address)
{
	return *(const uint64_t *)address - m->begin < m->end - m->begin;
}

int process_spare_code(const struct process *p, void *code, size_t len)
{
	struct mapping m;

	return mapping_find(p, contains, &p->spare, &m) && p->spare_size >= len &&
	       pread(p->exe, code, len, (off_t)(m.offset + (p->spare - m.begin))) == (ssize_t)len ? 0 : -1;
}

static bool is_libc(const struct mapping *m, const void *unused)
{
	const char *name = strrchr(m->path, '/');

	(void)unused;
	return !m->offset && name && !strcmp(name, "/libc.so.6");
}

static bool continues(const struct mapping *m, const void *opaque)
{
	const struct mapping *first = opaque;

	return m->inode == first->inode && m->begin >= first->end && m->offset;
}

/* Only now, as it might have been a FIFO, or a device that does something when it is opened. */
static int open_again(int fd)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* As QEMU sees it or, where that has changed its root folder since, as we do.  -1: neither. */
static int open_mapped(const struct process *p, const struct mapping *m)
{
	char path[1100];
	struct stat st;

	snprintf(path, sizeof(path), "root%s", m->path);
	for (int n = 0; n < 2; n++) {
		int fd = openat(p->dir, n ? m->path : path, O_PATH | O_CLOEXEC), file = -1;

		if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_ino == m->inode)
			file = open_again(fd);
		if (fd >= 0)
			close(fd);
		if (file >= 0)
			return file;
	}
	return -1;
}

static int look_at_libc(struct process *p)
{
	struct wanted_symbol wanted[] = {
		{ .name = "dlopen" }, { .name = "dlsym" }, { .name = "dlerror" },
	};
	struct mapping m, code = { 0 };
	int fd = -1;

	if (mapping_find(p, is_libc, NULL, &m) && mapping_find(p, continues, &m, &code))
		fd = open_mapped(p, &m);
	if (fd >= 0) {
		symbols_find(fd, m.begin, wanted, 3);
		close(fd);
	}
	if (!wanted[0].address || !wanted[1].address || !wanted[2].address)
		return fail("process %d has no C library with dlopen(), glibc 2.34 or later, that can be "
			    "read: if it was upgraded since QEMU started, start QEMU anew", p->pid);
	p->libc_begin = code.begin;
	p->libc_end = code.end;
	p->dlopen = wanted[0].address;
	p->dlsym = wanted[1].address;
	p->dlerror = wanted[2].address;
	return 0;
}

/* A thread has a folder in /proc, too. */
static bool is_process(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (fd < 0)
		return errno != EINVAL && errno != ENOENT;
	close(fd);
	return true;
}

/* The stub goes back by IRET, which such a stack would refuse. */
static bool has_shadow_stack(const struct process *p)
{
	int fd = openat(p->dir, "status", O_RDONLY | O_CLOEXEC);
	FILE *status = fd < 0 ? NULL : fdopen(fd, "r");
	char line[300];
	bool has = false;

	while (status && !has && fgets(line, sizeof(line), status))
		has = strncmp(line, "x86_Thread_features:", 20) == 0 && strstr(line, "shstk");
	if (status)
		fclose(status);
	return has;
}

int process_open(struct process *p, pid_t pid)
{
	char path[32];
	int ret;

	*p = (struct process){ .pid = pid, .exe = -1, .mem = -1 };
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	p->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->dir < 0)
		return fail("there is no process %d", (int)pid);
	if (!is_process(pid))
		return fail("%d is a thread, not a process", (int)pid);
	p->exe = openat(p->dir, "exe", O_RDONLY | O_CLOEXEC);
	if (p->exe < 0)
		return errno == ENOENT ? fail("process %d is no QEMU", (int)pid) :
					 no_access(p, "look into");
	ret = look_at_executable(p);
	ret = ret ? ret : look_at_libc(p);
	if (ret)
		return ret;
	if (has_shadow_stack(p))
		return fail("process %d has a shadow stack (GLIBC_TUNABLES), with which the agent cannot be put "
			    "into it: start QEMU with -plugin", p->pid);
	p->mem = openat(p->dir, "mem", O_RDWR | O_CLOEXEC);
	return p->mem < 0 ? no_access(p, "write to the memory of") : 0;
}

uid_t process_uid(const struct process *p)
{
	struct stat st;

	return fstat(p->dir, &st) == 0 ? st.st_uid : (uid_t)-1;
}

void process_close(struct process *p)
{
	if (p->dir >= 0)
		close(p->dir);
	if (p->exe >= 0)
		close(p->exe);
	if (p->mem >= 0)
		close(p->mem);
}

int process_sees(const struct process *p, const char *file)
{
	struct stat ours, theirs;
	char path[4200];

	snprintf(path, sizeof(path), "root%s", file);
	if (stat(file, &ours) == 0 && fstatat(p->dir, path, &theirs, 0) == 0 &&
	    ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino)
		return 0;
	return fail("process %d does not see the agent, %s: it has another root folder or other mounts; "
		    "put the agent where both see it under one name, and set SCRY_AGENT to that",
		    p->pid, file);
}
