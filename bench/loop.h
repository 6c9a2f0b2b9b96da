/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_BENCH_LOOP_H
#define SCRY_BENCH_LOOP_H

#include "bench.h"
#include "probe.h"

/* vCPU 0 of a probe goes through a list of operations for ever: what does a round cost? */

#define LOOP_LEAF 0x40000123u	/* of the CPUID in these lists */
#define LOOP_OP(NAME, ...) ((struct probe_op){ .code = PROBE_OP_##NAME, __VA_ARGS__ })

int loop_start(struct scry_vm *vm, const struct probe_op *list, unsigned count);
int loop_stop(struct scry_vm *vm);	/* and wait for the list's end */

/* Nanoseconds of a round of the list, which runs by itself; of a list started and stopped here. */
double loop_round(struct scry_vm *vm);
double loop_list(struct scry_vm *vm, const struct probe_op *list, unsigned count);

/*
 * ... of which each is one event, answered with *reply (NULL: continue); from
 * reply->view the way is back to view 0.
 */
double loop_answered(struct scry_vm *vm, const struct scry_reply *reply);

int loop_subscribe(struct scry_vm *vm, const struct scry_subscription *sub);
/* 0 also for no subscription; what is under way still is answered. */
int loop_unsubscribe(struct scry_vm *vm, int subscription);
int loop_drain(struct scry_vm *vm);
int loop_subscribe_cpuid(struct scry_vm *vm, uint32_t leaf);

#endif
