/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What is armed but does not match, beside QEMU's own means with nothing in
 * them: on two probes, of which one has the plugin of bench/plugin loaded.
 */
#include <string.h>

#include "loop.h"

struct work {
	const struct bench *b;
	struct scry_subscription sub;
};

/* A round of the loop with the other guest at rest. */
static double alone(struct scry_vm *vm, struct scry_vm *other)
{
	double ns;

	if (scry_pause(other) < 0)
		return bench_fail("%s", scry_errmsg());
	ns = loop_round(vm);
	return scry_resume(other) < 0 ? bench_fail("%s", scry_errmsg()) : ns;
}

static double armed(void *arg)
{
	struct work *w = arg;
	int subscription = loop_subscribe(w->b->vm, &w->sub);
	double ns;

	if (subscription < 0)
		return -1;
	ns = alone(w->b->vm, w->b->bound);
	return loop_unsubscribe(w->b->vm, subscription) < 0 ? -1 : ns;
}

static double empty(void *arg)
{
	struct work *w = arg;

	return alone(w->b->bound, w->b->vm);
}

int bench_armed(const struct bench *b, const char *name)
{
	const struct probe_op op = LOOP_OP(CPUID, .arg = LOOP_LEAF);
	struct work w = { .b = b, .sub = { .sz = sizeof(w.sub) } };
	int ret;

	if (!strcmp(name, "step")) {
		w.sub.kind = SCRY_EVENT_STEP;
		w.sub.step.count = UINT64_MAX;
	} else {
		w.sub.kind = SCRY_EVENT_CPUID;
		w.sub.cpuid.use_leaf = 1;
		w.sub.cpuid.leaf = LOOP_LEAF + 1;
	}
	if (!b->bound)
		return bench_fail("%s needs --bound", name);
	if (loop_start(b->vm, &op, 1) < 0 || loop_start(b->bound, &op, 1) < 0)
		return -1;
	ret = bench_pairs(b, name, "ns", armed, empty, &w);
	return loop_stop(b->vm) < 0 || loop_stop(b->bound) < 0 ? -1 : ret;
}
