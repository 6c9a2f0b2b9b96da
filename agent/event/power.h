/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_POWER_H
#define AGENT_POWER_H

#include <stdbool.h>
#include <stdint.h>

#include <scry/event.h>

struct vcpu;

/* How a guest ends or begins: requests to reset or switch off, processors started.  0, or refuse(). */
int power_init(void);

/*
 * Between blocks, with QEMU's big lock held: tell of what the vCPU asked for, and do
 * it if so answered.  True: it is halted, and takes nothing now.
 */
bool power_look(struct vcpu *vcpu);

/* With the lock: have the machine end so, which is no event. */
void power_request(enum scry_shutdown_type type);

/* Any thread: have the machine reset, which is no event. */
void power_reset(void);

/* With QEMU's big lock held: have this called, by any thread, when it is about to be reset. */
void power_watch_reset(void (*reset_comes)(void));

/* Does it wait for its start-up message, at the reset vector? */
bool power_waits_for_start(const struct vcpu *vcpu);

/* Between blocks, with the lock held: it did, and its message has come. */
void power_started(struct vcpu *vcpu);

#endif
