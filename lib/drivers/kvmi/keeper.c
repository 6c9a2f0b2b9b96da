/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <time.h>

#include "../../../protocol/futex.h"
#include "kvmi.h"

/*
 * A thread of the handle's own.  vCPUs wait in events that are not the caller's to
 * answer (PAUSE, TRAP, a step over a breakpoint), and no caller may come by for
 * long: then it reads.  It also lets the VM go on without a caller who does not
 * reply in time.
 */

#define TICK_NS  200000000u
#define START_NS 10000000u	/* while a vCPU has not been started that is to be told something */

/* Is the kernel to tell something that has to be answered at once? */
static bool is_due(const struct kvmi_vm *k)
{
	for (unsigned i = 0; i < k->vm->vcpus; i++)
		if (k->vcpu[i].pauses_due || k->vcpu[i].traps_due)
			return true;
	return k->stepping >= 0;
}

/* No kernel tells that a vCPU is started: that is to be asked for. */
static uint64_t tick(const struct kvmi_vm *k)
{
	for (unsigned i = 0; i < k->vm->vcpus; i++)
		if (k->vcpu[i].unarmed || k->vcpu[i].unheld)
			return START_NS;
	return TICK_NS;
}

static bool is_late(const struct kvmi_vm *k, struct kvmi_vcpu_state *v, uint64_t now)
{
	if (!v->queued && !v->told)
		return false;
	if (v->holds)
		v->since_ns = now;	/* paused: this time does not count */
	return now - v->since_ns > (uint64_t)k->vm->reply_timeout_ms * 1000000u;
}

static void look_for_late(struct kvmi_vm *k)
{
	uint64_t now = scry_now_ns();
	char why[sizeof(k->why)];

	if (!k->vm->reply_timeout_ms)
		return;
	for (unsigned i = 0; i < k->vm->vcpus; i++) {
		if (!is_late(k, &k->vcpu[i], now))
			continue;
		snprintf(why, sizeof(why), "it has gone on without this client, which did not reply "
			 "to an event of vCPU %u within %u ms: open it again", i,
			 k->vm->reply_timeout_ms);
		kvmi_end(k, SCRY_E_TIMEOUT, why);
		return;
	}
}

static void sleep_tick(struct kvmi_vm *k)
{
	uint64_t end = scry_now_ns() + tick(k);
	const struct timespec until = { (time_t)(end / 1000000000u), (long)(end % 1000000000u) };

	pthread_cond_timedwait(&k->keep, &k->lock, &until);
}

static void *keep(void *opaque)
{
	struct kvmi_vm *k = opaque;
	uint64_t reads = 0, asked = 0;

	pthread_mutex_lock(&k->lock);
	while (!k->stop_keeper) {
		if (!k->ended && !k->reading && is_due(k)) {
			kvmi_read_locked(k, scry_now_ns() + tick(k));
		} else {
			sleep_tick(k);
			/* Nobody has looked for a while: QEMU may want its VM back. */
			if (!k->ended && !k->reading && reads == k->reads)
				kvmi_read_locked(k, 0);
		}
		if (!k->ended && scry_now_ns() - asked >= START_NS) {
			kvmi_arm_started_locked(k);
			kvmi_hold_started_locked(k);
			asked = scry_now_ns();
		}
		reads = k->reads;
		if (!k->ended)
			look_for_late(k);
	}
	pthread_mutex_unlock(&k->lock);
	return NULL;
}

int kvmi_keeper_start(struct kvmi_vm *k)
{
	k->has_keeper = !pthread_create(&k->keeper, NULL, keep, k);
	return k->has_keeper ? 0 : scry_fail(SCRY_E_NOMEM, "cannot start a thread");
}

void kvmi_keeper_stop(struct kvmi_vm *k)
{
	if (!k->has_keeper)
		return;
	pthread_mutex_lock(&k->lock);
	k->stop_keeper = true;
	pthread_cond_broadcast(&k->keep);
	pthread_mutex_unlock(&k->lock);
	pthread_join(k->keeper, NULL);
	k->has_keeper = false;
}
