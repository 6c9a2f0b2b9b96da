/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HITS_H
#define HITS_H

/* What the tests of breakpoints stand on. */
#include "conformance.h"

#define N 50

#define BREAK(...) \
	((struct scry_breakpoint){ .sz = sizeof(struct scry_breakpoint), __VA_ARGS__ })

/* Its number, or -1 after fail(). */
int plant(struct ctx *c, struct scry_breakpoint breakpoint);

struct hits {
	uint64_t count, rip;
	uint32_t number;		/* of the last */
	struct scry_reply reply;
};

/* A pump's answer that fills the struct hits at its opaque. */
int note_hit(struct pump *p, const struct scry_event *e, struct scry_reply *reply);

/* The vCPUs of the mask call `at` N times each. */
int call_at(struct ctx *c, uint64_t at, uint64_t vcpus, struct hits *h);

/* What the last call on this vCPU gave. */
int call_result(struct ctx *c, unsigned vcpu, uint64_t *value);

/* The place of the probe's instruction that this is about. */
int find_insn(struct ctx *c, struct scry_subscription sub, struct probe_op op, uint64_t *rip);

#endif
