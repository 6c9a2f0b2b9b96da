/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_FUZZ_REFERENCE_H
#define SCRY_FUZZ_REFERENCE_H

#include <scry/scry.h>

/*
 * The page walk once more, written from the tables of SDM vol. 3, chapter 4,
 * for clarity and for nothing else: what the library finds must be this.
 */
struct reference_space {
	const unsigned char *memory;	/* guest-physical, from 0 */
	uint64_t size;
	enum scry_paging_mode mode;
	int pse, nxe;
	uint64_t root;
};

/* Fills all of *w but step[]. */
void reference_walk(const struct reference_space *space, uint64_t gva, struct scry_walk *w);

#endif
