/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_PT_BLOCK_H
#define AGENT_PT_BLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/qemu/qemu.h"

/* How control leaves a block that is executed to its end. */
enum pt_end {
	PT_RUNS_ON,		/* to the next instruction */
	PT_CONDITIONAL,		/* there, or to the target */
	PT_DIRECT,		/* to the target */
	PT_INDIRECT,		/* anywhere */
	PT_FAR,			/* anywhere, maybe in another mode */
};

/* A translated block.  It serves wherever its page is mapped: it has no address of its own. */
struct pt_block {
	uint64_t len;
	uint64_t target;	/* from its first byte */
	_Atomic bool known;	/* what follows has been found out, at its first execution */
	uint8_t end;		/* enum pt_end */
	uint8_t mode;		/* PT_MODE_... */
	bool traced;		/* the filter wants its CPL */
	uint16_t insns;
	uint8_t last_len, last[15];	/* its last instruction */
};

/* What is traced. */
struct pt_filter {
	bool use_cr3, use_range;
	bool kernel, user;	/* CPL 0 to 2, CPL 3 */
	uint64_t cr3, first, last;
};

/*
 * Note a block that is being translated; NULL if there is no memory.  It lives
 * until pt_block_free_all().
 */
struct pt_block *pt_block_add(struct qemu_tb *tb);

/* In a vCPU that is about to execute it: find out the rest. */
void pt_block_know(struct pt_block *block, const struct qemu_cpu *cpu,
		   const struct pt_filter *filter);

/* While no vCPU is in a block, and none of them will be executed again. */
void pt_block_free_all(void);

#endif
