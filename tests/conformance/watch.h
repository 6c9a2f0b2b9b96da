/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef WATCH_H
#define WATCH_H

/* What the tests of watchpoints stand on. */
#include "conformance.h"

#define WATCHED 20u	/* rounds */

/* For writes unless it says more. */
#define WATCH(...) \
	watch_of((struct scry_watchpoint){ .sz = sizeof(struct scry_watchpoint), __VA_ARGS__ })

static inline struct scry_watchpoint watch_of(struct scry_watchpoint w)
{
	if (!w.access)
		w.access = SCRY_WRITE;
	return w;
}

/* Its number, or -1 after fail(). */
int watch(struct ctx *c, struct scry_watchpoint watchpoint);

/* The vCPUs of the mask do the list WATCHED times: so many hits each, and none of the guest's #DB. */
int watched(struct ctx *c, const struct probe_op *list, unsigned count, uint64_t vcpus,
	    uint64_t hits);

/* The same of vCPU 0, of this watchpoint alone, each time. */
int watched_by(struct ctx *c, const struct probe_op *op, uint32_t number);

#endif
