/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_DUMP_H
#define TOOL_DUMP_H

#include <scry/scry.h>
#include <stdbool.h>
#include <stddef.h>

#include "sink.h"

struct dump_opts {
	const char *file;
	bool live, zstd, json;
};

/* Bytes that grow. */
struct dump_bytes {
	unsigned char *data;
	size_t size;
};

/* `scry dump`: 0, or EXIT_FAILURE with the reason said and nothing left behind. */
int dump_vm(struct scry_vm *vm, const struct dump_opts *opts);

/* notes.c: the registers of all vCPUs, where they can be had, and vmcoreinfo if not NULL. */
int dump_notes(struct scry_vm *vm, const char *vmcoreinfo, struct dump_bytes *notes);

/* Virtual addresses and the physical ones behind them. */
struct dump_run {
	uint64_t gva, gpa, size;
};

#define DUMP_RUNS 64

/* What of a Linux guest's kernel a dump is to tell; zeroed if there is none. */
struct dump_linux {
	char *vmcoreinfo;		/* its text, or NULL */
	uint64_t direct_map;		/* where the map of all memory begins, or 0 */
	struct dump_run run[DUMP_RUNS];	/* of the kernel's image */
	size_t runs;
};

/*
 * vmcoreinfo.c: what the guest's Linux tells of itself for dumps, found in its memory;
 * the text is the caller's.  NULL if there is none.
 */
char *dump_find_vmcoreinfo(struct scry_vm *vm);

/* kernelmap.c: the rest of *l, by the kernel's own page tables. */
void dump_find_kernel_map(struct scry_vm *vm, struct dump_linux *l);

/*
 * elf.c: the headers and notes; memory begins behind them, each region on a page's
 * bound.  Kernel addresses are told of, as kdump does.
 */
struct memmap;
int dump_header(struct sink *sink, const struct memmap *map, const struct dump_linux *l,
		const struct dump_bytes *notes);

#endif
