/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_LINUX_OS_H
#define SCRY_LINUX_OS_H

#include <scry/linux.h>

#include "../vm.h"
#include "image.h"
#include "kallsyms.h"
#include "layout.h"

struct btf;

struct scry_linux {
	struct scry_vm *vm;
	struct scry_as *as;		/* the kernel's */
	struct os_image image;
	struct os_kallsyms symbols;
	struct btf *btf;		/* NULL = the kernel has none */
	struct os_member member[OS_MEMBER_COUNT];
	char type_text[128];		/* scry_linux_member.type lies here */
	char symbol_name[OS_NAME_MOST], symbol_module[64];	/* what scry_linux_symbol_at() found */
	char banner[256];
	int rejected;			/* while it is sought: why none was taken */
	char why[256];

	/* Of vCPU n: its kernel's per-CPU data, once known; 0 = not yet. */
	uint64_t per_cpu[SCRY_MAX_VCPUS];
};

/* Longest list that is walked to its end; what has more is damaged. */
#define OS_LIST_MOST (1u << 22)		/* PID_MAX_LIMIT: as many tasks as there can be */

/* Kernel memory. */
int os_read(struct scry_linux *os, uint64_t gva, void *buf, size_t len);
int os_u64(struct scry_linux *os, uint64_t gva, uint64_t *value);
int os_u32(struct scry_linux *os, uint64_t gva, uint32_t *value);

/* A string, cut to size - 1 bytes; always ended. */
int os_string(struct scry_linux *os, uint64_t gva, char *buf, size_t size);

/* SCRY_E_UNSUPPORTED, and a sentence, if this kernel has no such member. */
int os_need(struct scry_linux *os, enum os_member_id id);
static inline bool os_has(const struct scry_linux *os, enum os_member_id id)
{
	return os->member[id].type;
}

/* The member (of at most 8 bytes, zero-extended) of the structure at base; bit-fields too. */
int os_get(struct scry_linux *os, uint64_t base, enum os_member_id id, uint64_t *value);

/* Where it lies. */
static inline uint64_t os_at(const struct scry_linux *os, uint64_t base, enum os_member_id id)
{
	return base + os->member[id].offset;
}

/* A symbol, or SCRY_E_UNSUPPORTED with a sentence. */
int os_symbol(struct scry_linux *os, const char *name, uint64_t *address);

/*
 * Each entry of the list whose struct list_head is at head: fn gets the entry's own
 * list_head.  Ends at a loop, too.
 */
typedef int (*os_list_fn)(struct scry_linux *os, uint64_t node, void *opaque);
int os_list(struct scry_linux *os, uint64_t head, os_list_fn fn, void *opaque);

/*
 * The path of the struct file at gva; "?" if it cannot be read.  *steps is how many names
 * and mounts the paths of one call may have together, counted down: without any left only
 * a path's end is told.
 */
#define OS_PATH_STEPS (UINT32_C(1) << 22)
int os_file_path(struct scry_linux *os, uint64_t file, char *path, size_t size, uint32_t *steps);

/* Fill `socket` and its path of the struct file of a socket. */
int os_socket(struct scry_linux *os, uint64_t file, struct scry_linux_file *to, char *path,
	      size_t size);

/* Read the whole task at gva. */
int os_task(struct scry_linux *os, uint64_t gva, struct scry_linux_task *task);

/*
 * modsyms.c: each symbol of the struct module at gva, whose name v->module is; *v->left
 * is how many all modules may have together, counted down.
 */
struct os_visit_symbol {
	scry_linux_symbol_fn fn;
	void *opaque;
	const char *module;
	uint32_t *left;
};
int os_module_symbols(struct scry_linux *os, uint64_t gva, const struct os_visit_symbol *v);

/* module.c: the symbols of all loaded modules. */
int os_modules_symbols(struct scry_linux *os, scry_linux_symbol_fn fn, void *opaque);

/* "damaged: ..." */
int os_damaged(const char *what, uint64_t gva);

#endif
