/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_PEER_H
#define SCRY_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "driver.h"

/* What drivers have in common that talk to a VMM's process on this host. */

/* PID of the process at a socket's other end, by the kernel's word, or 0. */
pid_t scry_peer_pid(int fd);

/* Terminate text that came from elsewhere, and take what a terminal would obey out of it. */
void scry_clean_text(char *text, size_t size);

/* Read the pieces from that process's own memory; false if that does not work for all. */
bool scry_peek(pid_t pid, const struct scry_piece *piece, size_t count);

/* A range of a file of guest RAM, mapped once and kept until the handle is closed. */
struct scry_files {
	struct scry_files *next;
	struct scry_guard *guard;
	uint64_t device, inode, offset, size;
	unsigned char *host;
};

/*
 * Map it, or find it mapped; NULL if that cannot be.  A file that may be shortened under our
 * hands ends that life (guard.h); NULL: it is none of those.
 */
unsigned char *scry_files_map(struct scry_files **files, int fd, uint64_t offset, uint64_t size,
			      uint64_t *life);
void scry_files_unmap(struct scry_files **files);

#endif
