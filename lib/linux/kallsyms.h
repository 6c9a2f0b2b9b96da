/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_LINUX_KALLSYMS_H
#define SCRY_LINUX_KALLSYMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct scry_vm;

/* The kernel's symbols, by ascending address. */
struct os_kallsyms {
	uint32_t count;
	uint64_t gpa;			/* of the token table: inside the kernel image */
	uint64_t *address;
	uint32_t *at;			/* of each name in `text`: its type letter, the name, 0 */
	char *text;
	uint32_t *hash;			/* by name: index + 1; a power of two of them */
	uint32_t hash_mask;
};

/*
 * The tables whose tokens "0" to "9" are at gpa: 0, SCRY_E_NOTFOUND if there are
 * none, or another failure.
 */
int os_kallsyms_read(struct scry_vm *vm, uint64_t gpa, struct os_kallsyms *symbols);
void os_kallsyms_free(struct os_kallsyms *symbols);

/* The address of the first of that name. */
bool os_kallsyms_find(const struct os_kallsyms *symbols, const char *name, uint64_t *address);

/* The index of the last symbol at or before an address, or -1. */
int64_t os_kallsyms_at(const struct os_kallsyms *symbols, uint64_t address);

#endif
