/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The exported twins of the headers' inline functions. */
#include <scry/memory.h>
#include <scry/paging.h>

extern inline void *scry_phys_ptr(struct scry_vm *vm, uint64_t gpa, size_t len);
extern inline int scry_read_phys_u64(struct scry_vm *vm, uint64_t gpa, uint64_t *value);
extern inline int scry_read_virt_u64(struct scry_as *as, uint64_t gva, uint64_t *value);
