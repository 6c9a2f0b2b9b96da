/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_FRAME_H
#define AGENT_FRAME_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Frames of the client's own, for views to show to the guest: memory at
 * guest-physical addresses that no processor can form, by which it is read,
 * written and remapped to like any other.
 */

#define FRAMES_BASE (UINT64_C(1) << 52)	/* Intel SDM volume 3, 4.1.4: 52 address bits at most */

/* The next free frame, zeroed; 0 if there is none, or no memory.  Service thread. */
uint64_t frame_create(void);

/* False if there is none of this number. */
bool frame_destroy(uint64_t gfn);

/* Where QEMU has the frame at this address, which frame_create() gave. */
void *frame_memory(uint64_t gpa);

/* Is this address in them, free or not?  Then *fd is their file. */
bool frame_at(uint64_t gpa, int *fd);

/* The client is gone. */
void frame_reset(void);

#endif
