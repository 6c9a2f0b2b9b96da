/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef KVMI_DRIVER_WORLD_H
#define KVMI_DRIVER_WORLD_H

/* What the driver's tests stand on: a VM opened at a peer. */
#include <scry/scry.h>

#include "../lib/test.h"
#include "peer.h"

struct world {
	struct peer peer;
	struct scry_vm *vm;
	char dir[64], path[80], uri[128];
};

extern enum kvmi_generation generation;	/* that is tested in this run */

#define LONG 20000	/* milliseconds, for what takes moments */

int set_up(void **state);
int tear_down(void **state);
/* Connect them: a short time-out for those that wait for it. */
void open_vm(struct world *w, enum kvmi_generation which, int timeout_ms);
struct scry_event one_event(struct world *w);

/* test_steps.c */
void test_breakpoint(void **state);
void test_gone_in_step(void **state);
void test_close_in_step(void **state);
void test_second(void **state);
void test_remaps(void **state);
void test_remaps_later(void **state);

#endif
