/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_LINUX_H
#define SCRY_LINUX_H

#include <stddef.h>
#include <stdint.h>

#include <scry/event.h>
#include <scry/paging.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A Linux guest (x86-64, kernel 6.1 or later), known from its own memory: its
 * symbols are read from its kallsyms tables, its structures' layout from its BTF.
 * No profile, no debug symbols, and nothing in the guest is needed; only guest
 * memory is read.  doc/linux.md tells how it is found.
 *
 * All that is told is what memory held at that moment.  While vCPUs run, lists
 * change under the reader: scry_pause() first for a picture that holds together.
 *
 * Guest memory is hostile: what is told may be wrong where the guest lies, but no
 * call hangs, and each list has an end.  SCRY_E_STATE: what should be there is
 * damaged, or not up yet.  SCRY_E_UNSUPPORTED: this kernel's layout is not known
 * (scry_errmsg() names what is missing).
 *
 * A handle is for one thread at a time, and must be closed before its VM.  It
 * remains right until the guest boots another kernel.
 */
struct scry_linux;

/*
 * Find the Linux that runs in a VM.  With registers to be had, it is the kernel that
 * a vCPU has mapped; without (a raw dump), the one whose page tables map it.  SCRY_E_NOTFOUND: none
 * is there.  SCRY_E_STATE: one is there, but not up yet, or no vCPU runs it.
 */
int scry_linux_open(struct scry_vm *vm, struct scry_linux **os);
void scry_linux_close(struct scry_linux *os);

struct scry_linux_info {
	size_t sz;		/* set by the caller before the call */
	char release[72];	/* "6.1.0-50-amd64" */
	char banner[256];	/* as /proc/version */
	uint64_t text_gva;	/* where the kernel image begins */
	uint64_t text_gpa;
	uint64_t root;		/* of the kernel's page tables */
	uint32_t symbols;
	uint32_t types;		/* of the BTF; 0 = the kernel has none */
};

int scry_linux_info(struct scry_linux *os, struct scry_linux_info *info);

/* The kernel's address space: the handle's, not to be freed. */
struct scry_as *scry_linux_as(struct scry_linux *os);

/* A symbol of the kernel itself or of one of its modules. */
struct scry_linux_symbol {
	const char *name;	/* the handle's; of a module's symbol good as told below */
	uint64_t address;
	char type;		/* as nm(1): 't', 'T', 'd', ...; of a module's always small */
	const char *module;	/* its name; NULL = of the kernel itself */
};

/*
 * The first (lowest) symbol of that name in the kernel itself, else one in its modules, whose
 * tables are read anew each time.  SCRY_E_NOTFOUND if there is none.
 */
int scry_linux_symbol(struct scry_linux *os, const char *name, uint64_t *address);

/*
 * The last symbol at or before an address inside the kernel image, or at most 1 MiB before one
 * in a module; of several there the first.  Good until the next call.
 */
int scry_linux_symbol_at(struct scry_linux *os, uint64_t address,
			 struct scry_linux_symbol *symbol);

/*
 * The iterators below call fn for each, until it returns non-zero, which is then
 * returned.  What its argument points to is valid only inside fn.
 */

/* All symbols: the kernel's by ascending address, then those of each module. */
typedef int (*scry_linux_symbol_fn)(const struct scry_linux_symbol *symbol, void *opaque);
int scry_linux_symbols(struct scry_linux *os, scry_linux_symbol_fn fn, void *opaque);

/*
 * An instruction in the kernel's text that a kind of event is about.  Where a hypervisor
 * tells nothing of such events, a breakpoint there does.
 */
struct scry_linux_site {
	uint64_t address;
	uint32_t kind;		/* enum scry_event_kind */
	uint8_t len;		/* bytes */
	uint8_t number;		/* of the control or debug register; enum scry_table_reg */
	uint8_t gpr;		/* enum scry_reg: where the value comes from or goes to, or NO_GPR */
	uint8_t access;		/* to a table: SCRY_READ or SCRY_WRITE */
	uint32_t vmmcall;	/* as in the event */
	uint32_t reserved;
};
#define SCRY_LINUX_SITE_NO_GPR 0xff

/*
 * Each of these kinds (bit n = enum scry_event_kind n), by ascending address: control and
 * debug registers (but LMSW, SMSW), CPUID, XSETBV, descriptor tables, hypercalls; of other kinds
 * there is none.  Text from _stext to _etext is decoded as it is in memory now, from symbol to symbol.
 * It is not all that there is: modules and BPF are not looked at, the firmware, code
 * that the kernel has dropped after boot, and of course what user space executes (CPUID).
 */
typedef int (*scry_linux_site_fn)(const struct scry_linux_site *site, void *opaque);
int scry_linux_sites(struct scry_linux *os, uint32_t kinds, scry_linux_site_fn fn, void *opaque);

/*
 * While the event of a breakpoint at a site waits: if *sub (NULL = any) asks for it, make
 * it what the hypervisor's own event would be, and return 1, else 0.  What CPUID will give is
 * not known: 0.
 */
int scry_linux_site_event(struct scry_linux *os, const struct scry_linux_site *site,
			  const struct scry_subscription *sub, struct scry_event *event);

/* A member of a structure or union. */
struct scry_linux_member {
	const char *name;	/* "" = anonymous; the handle's */
	const char *type;	/* as in C, without the name: "struct list_head *" */
	uint32_t offset;	/* bytes from the beginning of the outermost structure */
	uint32_t size;		/* bytes; of a bit-field, of the unit that holds it */
	uint8_t bit_offset;	/* of a bit-field: its lowest bit in that unit */
	uint8_t bits;		/* of a bit-field: how many; else 0 */
	uint16_t depth;		/* 0, or how many anonymous ones it is inside of */
};

/*
 * Where a member lies: `type` is the name of a structure or union ("struct " may
 * stand before it), `path` one of its members, or members of members, "a.b.c".
 * Members of anonymous ones are found as C finds them.
 */
int scry_linux_member(struct scry_linux *os, const char *type, const char *path,
		      struct scry_linux_member *member);

/* Its members in order, those of anonymous ones behind these; and its size in bytes. */
typedef int (*scry_linux_member_fn)(const struct scry_linux_member *member, void *opaque);
int scry_linux_members(struct scry_linux *os, const char *type, scry_linux_member_fn fn,
		       void *opaque);
int64_t scry_linux_sizeof(struct scry_linux *os, const char *type);

struct scry_linux_task {
	uint64_t address;	/* of its struct task_struct */
	int32_t pid;		/* of the thread */
	int32_t tgid;		/* of the process: what programs call the PID */
	int32_t ppid;		/* the parent process */
	uint32_t uid, gid;	/* real ones, in the first user namespace */
	uint32_t threads;	/* of its process */
	char comm[16];
	char state;		/* R S D T t X Z P I, as in /proc/PID/stat */
	uint8_t kernel;		/* 1 = a kernel thread */
	uint16_t reserved;
	uint32_t reserved2;
	uint64_t mm;		/* its struct mm_struct; 0 = it has no memory of its own */
	uint64_t cr3;		/* gpa of its paging root, as the kernel uses it; 0 as well */
	uint64_t start_ns;	/* when it began, since boot */
	uint64_t vsize, rss;	/* bytes mapped, and of these in memory */
};

/* All processes (one task each), or with SCRY_LINUX_THREADS all threads. */
#define SCRY_LINUX_THREADS 1u
typedef int (*scry_linux_task_fn)(const struct scry_linux_task *task, void *opaque);
int scry_linux_tasks(struct scry_linux *os, uint32_t flags, scry_linux_task_fn fn, void *opaque);

/* The one thread of that PID (in the first PID namespace).  SCRY_E_NOTFOUND. */
int scry_linux_task(struct scry_linux *os, int32_t pid, struct scry_linux_task *task);

/*
 * What a vCPU runs now: paused, or waiting in an event, so that it is still so when
 * it is told.  PID 0 is the idle task.  Of *task only address, pid, tgid, comm, mm
 * and kernel are set: it costs a few reads.
 */
int scry_linux_current(struct scry_linux *os, unsigned vcpu, struct scry_linux_task *task);

/* A task's address space, to be freed with scry_as_free(); of a kernel thread the kernel's. */
int scry_linux_task_as(struct scry_linux *os, const struct scry_linux_task *task,
		       struct scry_as **as);

/*
 * The command line or the environment: strings, each ended by a 0 byte, at most
 * size bytes of them.  Returns the whole length; 0 for a kernel thread.  SCRY_E_NOTMAPPED if
 * the pages are not in memory.
 */
int64_t scry_linux_cmdline(struct scry_linux *os, const struct scry_linux_task *task, char *buf,
			   size_t size);
int64_t scry_linux_environ(struct scry_linux *os, const struct scry_linux_task *task, char *buf,
			   size_t size);

/*
 * Longest path that is told, with its 0 byte.  A longer one lacks its beginning: ".../b/c".
 * "?": the name cannot be read.
 */
#define SCRY_LINUX_PATH 4096

/* The program's file; "" for a kernel thread. */
int scry_linux_exe(struct scry_linux *os, const struct scry_linux_task *task, char *path,
		   size_t size);

/* One mapping of a task (a VMA). */
struct scry_linux_map {
	uint64_t start, end;	/* end: behind its last byte */
	uint64_t flags;		/* SCRY_LINUX_MAP_... */
	uint64_t offset;	/* in the file, bytes */
	uint64_t inode;
	uint32_t major, minor;	/* of the device */
	const char *name;	/* of the file, or [heap], [stack], [vdso], ...; or "" */
};

#define SCRY_LINUX_MAP_READ   1u
#define SCRY_LINUX_MAP_WRITE  2u
#define SCRY_LINUX_MAP_EXEC   4u
#define SCRY_LINUX_MAP_SHARED 8u

typedef int (*scry_linux_map_fn)(const struct scry_linux_map *map, void *opaque);
int scry_linux_maps(struct scry_linux *os, const struct scry_linux_task *task,
		    scry_linux_map_fn fn, void *opaque);

/* An open file. */
struct scry_linux_file {
	int32_t fd;
	uint32_t flags;		/* as open(2)'s, O_RDWR and so on */
	uint32_t mode;		/* of the inode: S_IFREG and so on */
	uint32_t is_socket;
	uint64_t position, inode;
	const char *path;	/* or "pipe:[123]", "socket:[123]", "anon_inode:[eventpoll]" */
	struct {
		uint16_t family, type, protocol;	/* AF_INET, SOCK_STREAM, IPPROTO_TCP */
		uint16_t local_port, remote_port;
		uint8_t state;		/* TCP: 1 = established, 10 = listening, ... */
		uint8_t reserved[5];
		uint8_t local[16], remote[16];	/* addresses: 4 bytes of AF_INET, 16 of AF_INET6 */
		const char *path;	/* AF_UNIX: the name it is bound to ('@' = abstract), or "" */
	} socket;
};

typedef int (*scry_linux_file_fn)(const struct scry_linux_file *file, void *opaque);
int scry_linux_files(struct scry_linux *os, const struct scry_linux_task *task,
		     scry_linux_file_fn fn, void *opaque);

struct scry_linux_module {
	char name[64];
	uint64_t base, size;	/* base: of its code; size: of all its parts */
	int32_t users;		/* references to it */
	char state;		/* 'L' live, 'C' coming, 'G' going, 'U' unformed */
};

/* The loaded modules, the newest first. */
typedef int (*scry_linux_module_fn)(const struct scry_linux_module *module, void *opaque);
int scry_linux_modules(struct scry_linux *os, scry_linux_module_fn fn, void *opaque);

/* A record of the kernel's log. */
struct scry_linux_record {
	uint64_t sequence, time_ns;
	const char *text;	/* of `length` bytes, and a 0 byte behind them */
	size_t length;
	uint8_t level;		/* 0 = emergency to 7 = debug */
	uint8_t facility;	/* 0 = the kernel */
};

/* The records that are still in the log, the oldest first. */
typedef int (*scry_linux_record_fn)(const struct scry_linux_record *record, void *opaque);
int scry_linux_log(struct scry_linux *os, scry_linux_record_fn fn, void *opaque);

#ifdef __cplusplus
}
#endif
#endif
