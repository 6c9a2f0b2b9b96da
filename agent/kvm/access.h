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
};

struct accesses {
	uint64_t rip;
	uint32_t insn_len;	/* 0 = the instruction is not known */
	unsigned count;
	struct access at[ACCESSES_MOST];
};

/* Those whose pages the guest has mapped. */
void accesses_find(struct kvcpu *k, struct accesses *all);

#endif
