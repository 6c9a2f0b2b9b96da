/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SITE_H
#define SITE_H

/* Events of a single instruction, told of once for each time that the probe executes it. */
#include "conformance.h"

#define SITE_ROUNDS many(500)

/* One instruction as the probe executes it, once a round. */
struct site {
	struct scry_subscription sub;
	struct probe_op op;
	/* Is the event about what round i does?  May be NULL. */
	bool (*about)(const struct scry_event *e, uint64_t value);
	enum scry_action action;
	uint64_t set; /* registers of pump.regs to put in */
	uint64_t seen[PROBE_VCPUS];
};

/* SITE_ROUNDS on every vCPU at once; the results are in blocks. */
int site_run(struct ctx *c, struct site *s, struct pump *p, struct probe_vcpu *blocks);
/* Each vCPU did its operation so often, and faulted so often. */
int site_ends_with(struct ctx *c, const struct probe_vcpu *blocks, uint64_t count, uint64_t faults);

/* As the guest would have it. */
int site_continued(struct ctx *c, struct site s);
/* Skipped, then denied with #GP. */
int site_refused(struct ctx *c, struct site s);
int site_all_replies(struct ctx *c, struct site s);

#endif
