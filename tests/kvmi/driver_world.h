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
void test_breakpoint_across(void **state);
void test_breakpoints_change(void **state);
void test_new_vcpu_in_step(void **state);
void test_step_ends_elsewhere(void **state);
void test_step_broken_off(void **state);
void test_step_given_up(void **state);
void test_step_stays(void **state);

/* test_failures.c */
void test_not_started(void **state);
void test_subscription_fails(void **state);
void test_unwanted_step(void **state);
void test_paused_not_started(void **state);
void test_started_by_next(void **state);
void test_inject_stepped(void **state);
void test_inject_running(void **state);
void test_reply_fails(void **state);
void test_inject_fails(void **state);
void test_view_fails(void **state);
void test_remap_fails(void **state);
void test_nothing_to_skip(void **state);
void test_new_vcpu_paused(void **state);

/* test_opening.c */
void test_bad_version(void **state);
void test_drawl(void **state);
void test_slow_opening(void **state);
void test_silent_others(void **state);
void test_private_file(void **state);
void test_file_cut(void **state);
void test_not_its_socket(void **state);

#endif
