/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVM_PLANT_H
#define AGENT_KVM_PLANT_H

#include "kvm.h"

/*
 * Breakpoints that the guest may see.  In a copy of their page, which KVM has in its
 * place, stands an instruction that ends KVM_RUN: all else in the page is executed at
 * full speed.  What the guest writes there goes to the page itself, and then to the copy.
 */

#define COPIES_BASE (UINT64_C(1) << 53)	/* where a slat's entry has them: no guest's addresses */
#define PLANT_LEN   2u			/* bytes of that instruction */

/*
 * While no vCPU executes: have breakpoint n be planted at this address, where an
 * instruction of PLANT_LEN bytes or more begins which only CPL 0 executes.  False: it
 * cannot be.
 */
bool plant_put(int n, uint64_t gpa);
void plant_drop(int n);

/* Has KVM_RUN come back for one?  The vCPU stands in front of it, in an unfinished instruction. */
bool plant_hit(struct kvcpu *k);

/* For ram.c: the file of all copies, and of one of them, what stands in it. */
int plant_file(void);
/* The page as it is, or with what is planted. */
void plant_lift(unsigned copy);
void plant_fill(unsigned copy);
/* Entry of a slat for its page: the copy, or, when the guest has changed what is planted, a trap. */
uint64_t plant_entry(unsigned copy);

#endif
