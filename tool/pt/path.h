/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_PT_PATH_H
#define TOOL_PT_PATH_H

#include <scry/scry.h>

/* The path of a vCPU, from its Intel PT packets and the guest's memory as it is now. */
enum path_kind {
	PATH_INSN,		/* the instruction at ip, of `size` bytes, was executed */
	PATH_ENABLED,		/* tracing begins, at ip */
	PATH_DISABLED,		/* it ends, at ip */
	PATH_INTERRUPT,		/* exception or interrupt at ip, to `to` */
	PATH_CR3,
	PATH_LOST,		/* packets were lost */
	PATH_ERROR,		/* the packets at `offset` and the code do not agree: see why; ip: its
				 * code is not there, in the address space cr3 */
	PATH_SKIPPED,		/* behind it: so many bytes of packets */
};

struct path_item {
	enum path_kind kind;
	uint64_t ip, to, cr3;
	const uint8_t *bytes;	/* PATH_INSN */
	unsigned size, bits;	/* bits: 16, 32 or 64 */
	uint64_t offset, skipped;
	const char *why;
};

/* Returns non-zero to end. */
typedef int (*path_fn)(const struct path_item *item, void *opaque);

/* 0, what fn returned, or -1 if there is no memory. */
int path_decode(struct scry_vm *vm, const uint8_t *packets, size_t len, path_fn fn, void *opaque);

#endif
