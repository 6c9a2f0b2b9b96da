/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_RAM_H
#define SCRY_RAM_H

#include "vm.h"

/* Fetch the memory map anew if it changed; SCRY_E_GONE when the VM has ended. */
int scry_ram_refresh(struct scry_vm *vm);

/* The map as it is now: that in hand, if it still is, else a fresh one. */
int scry_live_map(struct scry_vm *vm, const struct scry_map **map);

/* Have a driver that maps on demand map this, all of it memory; *map is the map then. */
int scry_reach(struct scry_vm *vm, const struct scry_map **map, uint64_t gpa, size_t len);

/* After reading through it: was it the map all the time? */
bool scry_still_live(const struct scry_map *map);

/* The region that holds gpa, or NULL. */
const struct scry_mapped_region *scry_region_of(const struct scry_map *map, uint64_t gpa);

uint64_t scry_ram_bytes(struct scry_vm *vm);
void scry_ram_free(struct scry_vm *vm);

#endif
