/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_MEMORY_MAP_H
#define AGENT_MEMORY_MAP_H

#include <stdbool.h>

#include "protocol/agent_protocol.h"

/* Guest-physical memory, as QEMU has it at the moment. */
struct memory_map {
	uint32_t count;
	bool too_many;			/* regions did not fit */
	struct scry_agent_region region[SCRY_AGENT_REGIONS];	/* .file is not set */
	int fd[SCRY_AGENT_REGIONS];	/* QEMU's own, of the file behind each, or -1 */
};

/* All of these: with QEMU's big lock held. */

/* From now on have changed() called after each change of RAM or ROM in a map that was looked at. */
void memory_map_watch(void (*changed)(void));
void memory_map_unwatch(void);

const struct memory_map *memory_map(void);

/* Nobody is interested any longer: changes need not be looked at. */
void memory_map_forget(void);

uint64_t memory_map_ram_bytes(const struct memory_map *map);

/*
 * Set .file and .file_offset of the regions that another process can map, and
 * list the files.  How many there are.
 */
uint32_t memory_map_files(const struct memory_map *map, struct scry_agent_region *region,
			  int *files);

#endif
