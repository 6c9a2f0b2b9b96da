/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_BENCH_SPACE_H
#define SCRY_BENCH_SPACE_H

#include "bench.h"

/* The guest kernel's address space, paused: as it is now on vCPU 0, with 4-level paging. */
struct space {
	struct scry_vm *vm;
	struct scry_as *as;
	struct ram ram;
};

int space_open(struct space *s, struct scry_vm *vm);
void space_close(struct space *s);

/* Where the kernel maps all of RAM by 2 MiB pages: gva - gpa, or 0 after a message. */
uint64_t space_direct_map(const struct space *s);

/* All pages of 4 KiB that are mapped, with tables, in RAM; shuffled. */
int space_small_pages(const struct space *s, struct addresses *pages);

#endif
