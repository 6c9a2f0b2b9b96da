/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_LINUX_IMAGE_H
#define SCRY_LINUX_IMAGE_H

#include <stdint.h>

struct scry_linux;
struct scry_vm;

/* Where the kernel lies: its image is one piece of physical memory. */
struct os_image {
	uint64_t gva, gpa;	/* of _text */
	uint64_t size;		/* up to _end */
};

/*
 * Places where the words "0" to "9" lie as in a kallsyms token table are tried, until
 * `fn` returns other than SCRY_E_NOTFOUND.
 */
typedef int (*os_place_fn)(struct scry_linux *os, uint64_t gpa);
int os_search(struct scry_linux *os, os_place_fn fn);

/* From os->symbols: the image, its page tables, and whether a vCPU runs it. */
int os_image_check(struct scry_linux *os);

#endif
