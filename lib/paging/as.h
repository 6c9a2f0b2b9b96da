/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_AS_H
#define SCRY_AS_H

#include <stdbool.h>

#include "../vm.h"

struct scry_as {
	struct scry_as_head head;	/* what the inline functions see */
	struct scry_vm *vm;
	struct scry_as *next;		/* in vm->spaces */
	uint64_t root;
	enum scry_paging_mode mode;
	bool pse, nxe;
};

/*
 * Make *as, which a driver keeps from event to event (NULL at first), the address
 * space that these registers say.  0, or a failure if there is no memory for one.
 */
int scry_as_follow(struct scry_vm *vm, uint64_t cr0, uint64_t cr3, uint64_t cr4, uint64_t efer,
		   struct scry_as **as);

/* A page that a walk found. */
struct scry_page {
	uint64_t gpa;		/* of the address asked for */
	uint64_t size;
};

/* Walk without keeping the steps: 0, SCRY_E_NOTMAPPED or SCRY_E_GONE with a sentence. */
int scry_find_page(struct scry_as *as, uint64_t gva, struct scry_page *page);

/* Empty the cache. */
void scry_tlb_clear(struct scry_as *as);

/* May the entries be used now?  To be asked after their use: then they were right all along. */
bool scry_tlb_is_valid(const struct scry_as *as);

/*
 * The bytes at gva in the mapping, and in *left how many of its page follow;
 * NULL, without a failure noted, if the cache does not have them.  What they
 * are good for, scry_tlb_is_valid() tells.
 */
unsigned char *scry_tlb_find(struct scry_as *as, uint64_t gva, size_t *left);

/*
 * Note a translation that was walked in cache epoch `epoch` and with the life
 * word at `life`, if such may be cached.
 */
void scry_tlb_fill(struct scry_as *as, uint64_t gva, const struct scry_page *page,
		   uint64_t epoch, uint64_t life);

#endif
