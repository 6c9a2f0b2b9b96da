/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MATCH_H
#define MATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "blocklog.h"
#include "pt/path.h"

/* Is a decoded path what the log has, block by block? */
struct match {
	const struct log_entry *entry;
	uint64_t count, at;	/* the block that is being executed */
	bool began, interrupted;
	uint64_t from;		/* where it was interrupted */
	uint64_t end;		/* where tracing ended */
	uint64_t ip[1024], next;	/* of the block's instructions so far; what follows them */
	unsigned ips;
	uint64_t insns, interrupts, lost, errors;
	char why[256];
};

/* A path_fn for path_decode(): non-zero, with why set, where they differ. */
int match_item(const struct path_item *item, void *match);

/* Has all of the log been passed? */
bool match_complete(struct match *m);

#endif
