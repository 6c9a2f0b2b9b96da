/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVM_WALK_H
#define AGENT_KVM_WALK_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

/* A walk of the guest's page tables, as its processor makes it, which changes nothing in them. */

#define WALK_STEPS 5u

struct walk {
	bool mapped;
	uint64_t gpa;			/* if so */
	bool user;			/* CPL 3 may access it */
	bool writable;			/* in each entry; a kernel without CR0.WP does not mind */
	bool accessed, dirty;		/* what an access, or a write, sets is set */
	unsigned steps;
	uint64_t entry[WALK_STEPS];	/* where those that were read lie, from the root on */
	unsigned size;			/* bytes of one */
};

/* In the paging mode of these registers, from this root.  False: not mapped; *w as far as it got. */
bool walk(const struct kvm_sregs *s, uint64_t cr3, uint64_t gva, struct walk *w);

/* What the guest finds at this address in the view that it is in, within one page (code.c). */
bool seen_read(uint64_t gpa, void *data, unsigned len);

#endif
