/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_KVMI_QEMU_RAM_H
#define SCRY_KVMI_QEMU_RAM_H

#include "kvmi.h"

/* Where RAM is all RAM: below it there are ROMs and the video adapter's memory, too. */
#define KVMI_RAM_BEGIN UINT64_C(0x100000)

/*
 * Find guest RAM in the memory of QEMU's process, map it where it is shared, and
 * note in the regions where it is.  What is taken for it holds what the kernel says
 * that guest RAM holds.  Fills in how RAM is reached.
 */
void kvmi_find_ram(struct kvmi_vm *k, struct scry_mapped_region *region, size_t count);

#endif
