/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_DRIVER_DUMP_H
#define SCRY_DRIVER_DUMP_H

#include "../../driver.h"
#include "file.h"
#include "format.h"

extern const struct scry_driver scry_driver_dump;

/* A stretch of guest memory and where in the file it is. */
struct dump_piece {
	uint64_t gpa, size, offset;
};

/* What the file tells of a vCPU. */
struct dump_cpu {
	struct scry_regs regs;
	bool has_system;		/* control registers and hidden parts of segments, too */
	uint32_t msr_count;
	struct dump_msr msr[DUMP_SCRY_MSRS];
	uint64_t xsave_offset;		/* in the file */
	uint64_t xsave_size;		/* 0 = none */
};

/* How many notes there were of each kind: the n-th is of vCPU n. */
struct dump_notes {
	unsigned prstatus, qemu, scry, xsave;
	uint64_t bytes;
};

struct dump_vm {
	struct dump_file file;
	const char *format;		/* "ELF core", ... */
	bool by_qemu, by_scry;		/* notes of theirs */
	uint64_t missing;		/* bytes by which the file is too short for its memory */

	/* By ascending gpa, whole pages, none overlaps, once dump_layout() is done. */
	struct dump_piece *piece;
	size_t pieces, room;

	struct dump_cpu *cpu;
	struct dump_notes notes;
	unsigned cpus, cpus_left_out;	/* left out: beyond SCRY_MAX_VCPUS */
	char *vmcoreinfo;		/* its text, or NULL */
};

static inline struct dump_vm *dump_of(const struct scry_vm *vm)
{
	return vm->driver_data;
}

/* layout.c: gather pieces, in any order; then put them in order. */
int dump_add_piece(struct dump_vm *d, uint64_t gpa, uint64_t size, uint64_t offset);
int dump_layout(struct dump_vm *d);

/* Each: fill d from its file. */
int dump_parse(struct dump_vm *d);	/* detect.c: whatever it is */
int dump_parse_elf(struct dump_vm *d);
int dump_parse_lime(struct dump_vm *d);

/* notes.c: take what a note segment at this place of the file has. */
int dump_parse_notes(struct dump_vm *d, uint64_t offset, uint64_t size, bool is_64);

/* cpu.c: from the descriptor of a note, of len bytes, the n-th of its kind. */
int dump_cpu_prstatus(struct dump_vm *d, unsigned n, const void *desc, size_t len, bool is_64);
int dump_cpu_qemu(struct dump_vm *d, unsigned n, const void *desc, size_t len);
int dump_cpu_scry(struct dump_vm *d, unsigned n, const void *desc, size_t len);
void dump_cpu_xsave(struct dump_vm *d, unsigned n, uint64_t offset, size_t len);
uint64_t *dump_cpu_msr(struct dump_cpu *cpu, uint32_t index);	/* a new one if need be */

/* vmcoreinfo.c: give vCPUs without control registers the kernel's paging root. */
void dump_use_vmcoreinfo(struct dump_vm *d);

#endif
