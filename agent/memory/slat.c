/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "slat.h"

#define NODE_ENTRIES (1u << SLAT_NODE_BITS)
#define NODE_SIZE    (NODE_ENTRIES * sizeof(uint64_t))

static uint64_t *children(uint64_t entry)
{
	return (uint64_t *)(entry & SLAT_PAGE);
}

static uint64_t *new_node(struct slat *slat)
{
	uint64_t *node = NULL;

	if (slat->nodes < SLAT_NODES)
		node = aligned_alloc(NODE_SIZE, NODE_SIZE);
	if (node)
		slat->nodes++;
	return node;
}

/* Give the parts of an entry entries of their own, all like it. */
static int split(struct slat *slat, uint64_t *entry)
{
	uint64_t *node = new_node(slat);

	if (!node)
		return -1;
	for (unsigned i = 0; i < NODE_ENTRIES; i++)
		node[i] = *entry;
	*entry = (uint64_t)node | SLAT_CHILD;
	return 0;
}

/* First and last count from the first frame of this entry, which is for 1 << shift. */
static int protect(struct slat *slat, uint64_t *entry, unsigned shift, uint64_t first,
		   uint64_t last, uint64_t traps)
{
	unsigned part = shift - SLAT_NODE_BITS;
	uint64_t mask;

	if (!(*entry & SLAT_CHILD)) {
		if (first == 0 && last == (UINT64_C(1) << shift) - 1)
			*entry = (*entry & ~SLAT_TRAPS) | traps;
		if ((*entry & SLAT_TRAPS) == traps)
			return 0;
		if (split(slat, entry) < 0)
			return -1;
	}
	mask = (UINT64_C(1) << part) - 1;
	for (uint64_t i = first >> part; i <= last >> part; i++)
		if (protect(slat, &children(*entry)[i], part, i == first >> part ? first & mask : 0,
			    i == last >> part ? last & mask : mask, traps) < 0)
			return -1;
	return 0;
}

int slat_protect(struct slat *slat, uint64_t first, uint64_t last, uint32_t traps)
{
	return protect(slat, &slat->root, SLAT_GFN_BITS, first, last, traps);
}

int slat_remap(struct slat *slat, uint64_t gfn, uint64_t gpa)
{
	bool back = gpa >> 12 == gfn;
	uint64_t *entry = &slat->root;

	for (unsigned shift = SLAT_GFN_BITS; shift;) {
		if (!(*entry & SLAT_CHILD)) {
			if (back)
				return 0;
			if (split(slat, entry) < 0)
				return -1;
		}
		shift -= SLAT_NODE_BITS;
		entry = &children(*entry)[gfn >> shift & (NODE_ENTRIES - 1)];
	}
	*entry = (*entry & SLAT_TRAPS) | (back ? 0 : SLAT_REMAPPED | (gpa & SLAT_PAGE));
	return 0;
}

static void drop(uint64_t entry)
{
	if (!(entry & SLAT_CHILD))
		return;
	for (unsigned i = 0; i < NODE_ENTRIES; i++)
		drop(children(entry)[i]);
	free(children(entry));
}

void slat_clear(struct slat *slat)
{
	drop(slat->root);
	*slat = (struct slat){ 0 };
}

/* Give the entry, a copy, nodes of its own; where there is no memory it ends. */
static int copy_nodes(struct slat *slat, uint64_t *entry)
{
	const uint64_t *from = children(*entry);
	uint64_t *node;

	if (!(*entry & SLAT_CHILD))
		return 0;
	*entry = 0;
	node = new_node(slat);
	if (!node)
		return -1;
	memset(node, 0, NODE_SIZE);
	*entry = (uint64_t)node | SLAT_CHILD;
	for (unsigned i = 0; i < NODE_ENTRIES; i++) {
		node[i] = from[i];
		if (copy_nodes(slat, &node[i]) < 0)
			return -1;
	}
	return 0;
}

int slat_copy(struct slat *slat, const struct slat *from)
{
	slat->root = from->root;
	if (copy_nodes(slat, &slat->root) == 0)
		return 0;
	slat_clear(slat);
	return -1;
}
