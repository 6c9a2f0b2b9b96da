/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_BENCH_EVENT_H
#define SCRY_BENCH_EVENT_H

#include "loop.h"

/*
 * A loop of CPUIDs for which something is armed, and refused by the filter.
 * Start gives the subscription, for stop.
 */
int event_loop_start(struct scry_vm *vm);
int event_loop_stop(struct scry_vm *vm, int refused);

/* Nanoseconds that an event with this reply adds to a round of it; or of the whole round. */
double event_round_trip(struct scry_vm *vm, const struct scry_reply *reply, bool whole);

#endif
