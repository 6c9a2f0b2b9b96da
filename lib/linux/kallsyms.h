/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_LINUX_KALLSYMS_H
#define SCRY_LINUX_KALLSYMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct scry_vm;

#define OS_TOKENS      256
#define OS_TOKEN_MOST  64u	/* bytes of one */
#define OS_BLOCK       256u	/* symbols to a marker */
#define OS_NAME_MOST   512u	/* KSYM_NAME_LEN */

/* The kernel's symbols, by ascending address: copies of its tables, which have been checked. */
struct os_kallsyms {
	uint32_t count;
	uint64_t gpa;			/* of the token table: inside the kernel image */
	uint64_t base;
	bool has_absolute;		/* offsets that are addresses: of per-CPU symbols */
	int32_t *offset;
	uint8_t *names;			/* compressed */
	size_t names_size;
	uint32_t *marker;		/* where in names each block of symbols begins */
	uint8_t *order;			/* of the symbols by name, 3 bytes each; NULL = the kernel has none */

	char token_text[OS_TOKENS * OS_TOKEN_MOST + 8];
	uint16_t token_at[OS_TOKENS];
	uint8_t token_len[OS_TOKENS];

	/* Made when first needed: all names, and where to find them. */
	char *text;
	uint32_t *at;			/* of each name in `text`: its type letter, the name, 0 */
	uint32_t *hash;			/* by name: index + 1 */
	uint32_t hash_mask;
};

/*
 * The tables whose tokens "0" to "9" are at gpa: 0, SCRY_E_NOTFOUND if there are
 * none, or another failure.
 */
int os_kallsyms_read(struct scry_vm *vm, uint64_t gpa, struct os_kallsyms *symbols);
void os_kallsyms_free(struct os_kallsyms *symbols);

/* The address of the first of that name. */
bool os_kallsyms_find(struct os_kallsyms *symbols, const char *name, uint64_t *address);

/* Make `text` and what else is made late: 0 or SCRY_E_NOMEM. */
int os_kallsyms_index(struct os_kallsyms *symbols);

/* The index of the last symbol at or before an address, or -1. */
int64_t os_kallsyms_at(const struct os_kallsyms *symbols, uint64_t address);

static inline uint64_t os_kallsyms_address(const struct os_kallsyms *symbols, uint32_t i)
{
	int32_t offset = symbols->offset[i];

	if (!symbols->has_absolute)
		return symbols->base + (uint32_t)offset;
	return offset >= 0 ? (uint64_t)offset : symbols->base - 1 - (uint64_t)(int64_t)offset;
}

/* The bytes of the compressed name at p, with those of its length, *head; 0 = not within `left`. */
static inline size_t os_name_size(const uint8_t *p, size_t left, size_t *head)
{
	size_t len;

	*head = 1;
	if (left < 2)
		return 0;
	len = p[0];
	if (len & 0x80) {
		len = (len & 0x7f) | (size_t)p[1] << 7;
		*head = 2;
	}
	return len && *head + len <= left ? *head + len : 0;
}

#endif
