/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVM_MOVE_H
#define AGENT_KVM_MOVE_H

#include "insn.h"

/* An instruction that does nothing but load a general register from memory, or store there. */
struct move {
	bool store;
	unsigned size;		/* bytes in memory: 1, 2, 4 or 8 */
	uint64_t value;		/* to be stored */
	ZydisRegister into;	/* or loaded */
	bool is_signed;		/* with copies of the sign above it */
};

/* False: it is another. */
bool move_of(const struct insn *insn, struct move *move);

/* What these registers are when a load has found this. */
void move_loaded(const struct move *move, uint64_t value, uint64_t gpr[16]);

/* Make its one access, to memory that is aligned: what has been loaded. */
uint64_t move_access(const struct move *move, void *memory);

#endif
