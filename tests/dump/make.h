/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DUMP_MAKE_H
#define DUMP_MAKE_H

#include <stddef.h>
#include <stdint.h>

/* Dumps made for tests, in memory; all are small and free()d by the caller. */
struct bytes {
	unsigned char *data;
	size_t size;
};

/* What byte the made guests have at gpa. */
uint8_t byte_at(uint64_t gpa);

/*
 * ELF cores of MADE_CPUS vCPUs with notes of QEMU's and, if `system` is not set, of
 * kdump's kind: registers and VMCOREINFO only.  Memory: 0 to 0x8000, 0xa000 to
 * 0xc000 and, twice, 0x100000000 to 0x100003000.
 */
#define MADE_CPUS 2
#define MADE_CR3  UINT64_C(0x6000)
struct bytes make_elf64(int system);

/* The same, whose first vCPU has an XSAVE area of so many bytes, if any. */
struct bytes make_elf64_with_xsave(size_t size);
struct bytes make_elf32(void);	/* of one vCPU, memory 0 to 0x3000 */
struct bytes make_lime(void);	/* 0x1000 to 0x9fc00, 0x100000 to 0x110000 */
struct bytes make_raw(size_t size);

/* The same in Zstandard frames, with a table of them. */
struct bytes make_zstd(const struct bytes *b);

/* A file of these bytes without a name: its descriptor. */
int make_file(const struct bytes *b);

#endif
