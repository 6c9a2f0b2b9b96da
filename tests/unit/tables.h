/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_UNIT_TABLES_H
#define SCRY_UNIT_TABLES_H

#include "unit.h"

/* Page tables built by hand in the fake VM's memory, as a guest would: unseen by the library. */

#define PTE_P    UINT64_C(0x001)
#define PTE_W    UINT64_C(0x002)
#define PTE_U    UINT64_C(0x004)
#define PTE_A    UINT64_C(0x020)
#define PTE_D    UINT64_C(0x040)
#define PTE_PS   UINT64_C(0x080)
#define PTE_G    UINT64_C(0x100)
#define PTE_NX   (UINT64_C(1) << 63)
#define PTE_PWU  (PTE_P | PTE_W | PTE_U)
#define PTE_KEY(key) ((uint64_t)(key) << 59)
#define BIT(n)   (UINT64_C(1) << (n))

/* A fresh zeroed page for a table, from 1 MiB up; tables_reset() begins anew. */
uint64_t table_new(void);
void tables_reset(void);

void entry_set32(uint64_t gpa, uint32_t entry);

/*
 * Set the entry for gva at leaf_level, making tables with `flags` in their
 * entries where there are none, and return where it lies.  root is the table
 * of level `levels`, all tables 512 entries of 8 bytes.
 */
uint64_t entry_set(uint64_t root, int levels, uint64_t gva, int leaf_level, uint64_t entry,
		   uint64_t flags);

/* An address space of that mode, NXE and PSE on. */
struct scry_as *as_new(struct scry_vm *vm, enum scry_paging_mode mode, uint64_t root);

/* scry_walk() and scry_translate() must agree with it, and with each other. */
void expect_page(struct scry_as *as, uint64_t gva, uint64_t gpa, uint64_t page_size,
		 uint32_t flags, uint32_t pkey);
/* ... and the walk must have read `levels` entries, the last at gpa last. */
void expect_fault(struct scry_as *as, uint64_t gva, enum scry_walk_fault fault, int levels,
		  uint64_t last);

#endif
