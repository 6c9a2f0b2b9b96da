/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVM_ACCESS_H
#define AGENT_KVM_ACCESS_H

#include "kvm.h"

/* What the instruction at rip accesses, in the order in which the processor does. */
#define ACCESSES_MOST 64
struct access {
	uint64_t gva, gpa;
	uint32_t access;	/* SCRY_READ, SCRY_WRITE, SCRY_EXEC; both for one with LOCK */
	uint32_t size;		/* bytes, in this page */
	bool walk;		/* the page walker's, on the way to gva */
	bool settled;		/* the tables permit it, and it changes none of their bits */
};

struct accesses {
	uint64_t rip;
	uint32_t insn_len;	/* 0 = the instruction is not known */
	unsigned count;
	struct access at[ACCESSES_MOST];
};

/* Does its page have to be open to writes?  The walker sets the accessed and dirty bits. */
static inline bool access_writes(const struct access *a)
{
	return a->access & SCRY_WRITE || a->walk;
}

/* Those whose pages the guest has mapped. */
void accesses_find(struct kvcpu *k, struct accesses *all);

#endif
