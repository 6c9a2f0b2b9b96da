/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_ATTACH_H
#define TOOL_ATTACH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "protocol/attach.h"

/*
 * Putting the agent into a QEMU that runs.  QEMU is taken for hostile: nothing that is read
 * from it is trusted further than that a wrong address does harm to QEMU alone, and nothing
 * waits for it for ever.
 */

/* A process that is a QEMU under KVM. */
struct process {
	pid_t pid;
	int dir;		/* its folder in /proc: stays that process's */
	int exe, mem;		/* its executable's file, its memory */
	uint64_t spare, spare_size;	/* code of QEMU's that it executes but once, when it starts */
	uint64_t libc_begin, libc_end;
	uint64_t dlopen, dlsym, dlerror;
};

/* Look at it.  0, or EXIT_FAILURE with the reason said; to be closed in either case. */
int process_open(struct process *p, pid_t pid);
void process_close(struct process *p);
uid_t process_uid(const struct process *p);
/* Does it find that file, which is ours, under the same name?  0, or EXIT_FAILURE, said. */
int process_sees(const struct process *p, const char *path);
/* The first bytes of its spare code, as its file has them.  0 or -1. */
int process_spare_code(const struct process *p, void *code, size_t len);
/* 0, or -1 if there is no such memory. */
int process_read(const struct process *p, uint64_t address, void *data, size_t len);
int process_write(const struct process *p, uint64_t address, const void *data, size_t len);
/* What cannot be printed is blanks then. */
void make_printable(char *text);
/* A string of its, printable. */
void process_string(const struct process *p, uint64_t address, char *text, size_t size);

/* One mapping of a file. */
struct mapping {
	uint64_t begin, end, offset, inode;
	char path[1024];
};

/* The first mapping of the process that fn says true of.  False: none. */
bool mapping_find(const struct process *p, bool (*fn)(const struct mapping *m, const void *opaque),
		  const void *opaque, struct mapping *found);

/* Functions of an ELF file, mapped from base on. */
struct wanted_symbol {
	const char *name;
	uint64_t address, size;		/* 0: there is none */
};
/* False: it is no ELF file. */
bool symbols_find(int fd, uint64_t base, struct wanted_symbol *wanted, size_t count);

/*
 * What QEMU's main thread executes for us, and where: it needs nobody from its first
 * instruction on, so that it does no harm if this program is killed meanwhile.
 */
extern const uint8_t stub_begin[], stub_end[];
#define STUB_MAGIC 0x79726373

/* The words of its block, the first five of which are as IRET wants them. */
#define STUB_RIP 0
#define STUB_CS 1
#define STUB_FLAGS 2
#define STUB_RSP 3
#define STUB_SS 4
#define STUB_RAX 5
#define STUB_RBX 6
#define STUB_RCX 7
#define STUB_RDX 8
#define STUB_RSI 9
#define STUB_RDI 10
#define STUB_RBP 11
#define STUB_R8 12
#define STUB_R9 13
#define STUB_R10 14
#define STUB_R11 15
#define STUB_R12 16
#define STUB_R13 17
#define STUB_R14 18
#define STUB_R15 19
#define STUB_DLOPEN 20
#define STUB_DLSYM 21
#define STUB_DLERROR 22
#define STUB_PATH 23
#define STUB_ENTRY 24
#define STUB_OPTIONS 25
#define STUB_XSAVE 26
#define STUB_RESULT 27
#define STUB_ERROR 28
#define STUB_WORDS 32

/*
 * Have it load the library and call its entry point: *result is the address of what that
 * returns.  0, or EXIT_FAILURE with the reason said.
 */
int inject(const struct process *p, const char *library, const char *options, uint64_t *result);

/* Wait for what the agent says, at `address`: 0, or EXIT_FAILURE with the reason said. */
int attach_wait(const struct process *p, uint64_t address, struct scry_attach_result *result);

/* Have the agent that listens there leave its QEMU: 0, or EXIT_FAILURE with the reason said. */
int leave(const char *socket);

#endif
