/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_SLAT_H
#define AGENT_SLAT_H

/*
 * What a view says of each guest frame: which accesses are trapped, and which
 * memory stands in its place.  A radix tree in which a whole part that is alike
 * is one entry, so that a range costs what its ends cost.
 */
#include <stdint.h>

#define SLAT_GFN_BITS 40
#define SLAT_GFNS     ((UINT64_C(1) << SLAT_GFN_BITS) - 1)
#define SLAT_NODES    65536u	/* of one tree, 8 KiB each */

/* An entry: 0 for what is as in hardware.  Its low bits are SCRY_READ, SCRY_WRITE, SCRY_EXEC: */
#define SLAT_TRAPS    UINT64_C(7)
#define SLAT_REMAPPED UINT64_C(8)	/* to the page at SLAT_PAGE */
#define SLAT_CHILD    UINT64_C(16)	/* not an entry, but a node of them at SLAT_PAGE */
#define SLAT_PAGE     (~UINT64_C(0xfff))

#define SLAT_NODE_BITS 10

struct slat {
	uint64_t root;		/* the entry for all */
	unsigned nodes;
};

static inline const uint64_t *slat_node(uint64_t entry)
{
	return (const uint64_t *)(entry & SLAT_PAGE);
}

/* The entry for a frame, below 2^SLAT_GFN_BITS, and for how many from it on, at least. */
static inline uint64_t slat_find_run(const struct slat *slat, uint64_t gfn, uint64_t *run)
{
	uint64_t entry = slat->root;
	unsigned shift = SLAT_GFN_BITS;

	while (entry & SLAT_CHILD) {
		shift -= SLAT_NODE_BITS;
		entry = slat_node(entry)[gfn >> shift & ((1u << SLAT_NODE_BITS) - 1)];
	}
	*run = (UINT64_C(1) << shift) - (gfn & ((UINT64_C(1) << shift) - 1));
	return entry;
}

static inline uint64_t slat_find(const struct slat *slat, uint64_t gfn)
{
	uint64_t run;

	return slat_find_run(slat, gfn, &run);
}

/* Where the memory is that stands at gpa; slat NULL: of no view. */
static inline uint64_t slat_shown(const struct slat *slat, uint64_t gpa)
{
	uint64_t entry = slat ? slat_find(slat, gpa >> 12 & SLAT_GFNS) : 0;

	return entry & SLAT_REMAPPED ? (entry & SLAT_PAGE) | (gpa & 0xfff) : gpa;
}

/* Trap these accesses, and no others, to the frames first to last.  -1 = no memory. */
int slat_protect(struct slat *slat, uint64_t first, uint64_t last, uint32_t traps);

/* Have the page at gpa stand in the place of the frame; its own undoes that.  -1 = no memory. */
int slat_remap(struct slat *slat, uint64_t gfn, uint64_t gpa);

/* Make *slat, which is empty, like another.  -1 = no memory; then it is still empty. */
int slat_copy(struct slat *slat, const struct slat *from);

void slat_clear(struct slat *slat);

#endif
