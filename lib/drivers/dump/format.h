/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_DUMP_FORMAT_H
#define SCRY_DUMP_FORMAT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <scry/regs.h>

/* What `scry dump` writes and this driver reads beside what <elf.h> and <sys/procfs.h> have. */

/* The descriptor of a note "QEMU", type 0, one a vCPU: QEMU's dump-guest-memory makes them. */
#define DUMP_QEMU_NAME "QEMU"

struct dump_qemu_segment {
	uint32_t selector, limit;
	uint32_t flags;		/* bits 8 to 23 of the descriptor's second word */
	uint32_t pad;
	uint64_t base;
};

struct dump_qemu_cpu {
	uint32_t version;	/* 1 */
	uint32_t size;		/* of all of it */
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp;
	uint64_t r[8];		/* r8 to r15 */
	uint64_t rip, rflags;
	struct dump_qemu_segment cs, ds, es, fs, gs, ss, ldt, tr, gdt, idt;
	uint64_t cr[5];
	uint64_t kernel_gs_base;	/* not there in old ones */
};

#define DUMP_QEMU_FLAGS(attr)  ((uint32_t)((attr) & 0xf0ff) << 8)
#define DUMP_QEMU_ATTR(flags)  ((flags) >> 8 & 0xf0ff)

/*
 * "SCRY", one a vCPU: all that scry knows of it.  The type is none of a core's: gdb and
 * readelf look at that alone.
 */
#define DUMP_SCRY_NAME    "SCRY"
#define DUMP_SCRY_CPU     0x53435259
#define DUMP_SCRY_VERSION 1
#define DUMP_SCRY_MSRS    32

struct dump_msr {
	uint32_t index, reserved;
	uint64_t value;
};

struct dump_scry_cpu {
	uint32_t version;
	uint32_t msr_count;
	struct scry_regs regs;
	struct dump_msr msr[DUMP_SCRY_MSRS];
};

/* The kernel's description of itself; a note's name, its type is 0. */
#define DUMP_VMCOREINFO_NAME "VMCOREINFO"

/* In its text: the number behind "NAME=" at the beginning of a line. */
static inline bool dump_vmcoreinfo_number(const char *text, const char *name, int base,
					  uint64_t *value)
{
	size_t len = strlen(name);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, len) || line[len] != '=')
			continue;
		*value = strtoull(line + len + 1, NULL, base);
		return true;
	}
	return false;
}

/*
 * A compressed dump is Zstandard's seekable format: `zstd -d` makes the ELF core of
 * it.  Frames, each of so many bytes of the core but the last, then a skippable
 * frame with the table of their sizes, which ends in the footer.
 */
#define DUMP_ZSTD_FRAME      (256u << 10)
#define DUMP_ZSTD_SKIPPABLE  0x184d2a5eu
#define DUMP_ZSTD_MAGIC      0xfd2fb528u
#define DUMP_ZSTD_TABLE_END  0x8f92eab1u

struct dump_zstd_entry {
	uint32_t compressed, decompressed;	/* bytes */
};

struct dump_zstd_footer {
	uint32_t frames;
	uint8_t descriptor;	/* bit 7: a check sum follows each entry */
	uint32_t magic;
} __attribute__((packed));

#endif
