/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVM_ALIAS_H
#define AGENT_KVM_ALIAS_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/agent_protocol.h"

/*
 * Second mappings of the guest's RAM, for KVM alone: of whole blocks of QEMU's, as
 * one slot may reach over all of a block, also over what the memory map hides.
 * They change only while no vCPU executes, with QEMU's big lock held.
 */

#define ALIAS_PAGE  UINT64_C(4096)
#define ALIAS_CHUNK 1024u	/* pages */

struct alias {
	uint64_t host, size;	/* QEMU's own mapping of the block; size 0: there is none */
	int fd;			/* of the file behind it, the agent's own */
	uint64_t inode;
	uint64_t file_offset;	/* where in that it begins */
	char *memory;
	uint64_t *is;		/* entry of the slat, of each page, as it is in force */
	uint32_t *busy;		/* of each chunk so many pages whose entry is not 0 */
	uint16_t *held;		/* by so many that trap each page's fetches, whatever the view says */
	uint16_t *copy;		/* of plant.c, that is in the page's place unless it is trapped; 0 = none */
};

/* Frames that are such RAM now. */
struct part {
	uint64_t gfn, pages;
	struct alias *alias;
	uint64_t first;		/* page of it */
};

extern struct aliases {
	unsigned count, parts;
	struct alias alias[SCRY_AGENT_REGIONS];
	struct part part[SCRY_AGENT_REGIONS];
} aliases;

/* NULL, or why the guest's RAM can have none. */
const char *aliases_lack(void);

/* Make them; or have them go by the memory map of now.  NULL, or why they cannot be. */
const char *aliases_make(void);

/* Do they go by it already?  Then nothing is in doubt any longer. */
bool aliases_current(void);

/* All, unless KVM's slots must stay in them for now. */
void aliases_drop(void);

/* What stands for a frame; NULL = none. */
struct alias *alias_of(uint64_t gfn, uint64_t *page);

/* Until the next aliases_make() new slots go to QEMU's own mappings: these may be others. */
void aliases_doubt(void);

/* Where KVM is to find what QEMU has at this address. */
uint64_t alias_place(uint64_t host, uint64_t size);

#endif
