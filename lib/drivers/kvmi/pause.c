/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../../../protocol/futex.h"
#include "kvmi.h"

/*
 * KVMI pauses by the event PAUSE, one for each command, which comes when the vCPU
 * has nothing else to tell; resuming is to answer it.  `holds` counts why the vCPU
 * is not to run.
 */

/* Those that come while another is still to come tell nothing. */
void kvmi_paused_locked(struct kvmi_vm *k, unsigned vcpu)
{
	struct kvmi_vcpu_state *v = &k->vcpu[vcpu];

	if (v->pauses_due)
		v->pauses_due--;
	if (v->pauses_due || !v->holds)
		kvmi_answer_locked(k, vcpu, KVMI_CONTINUE, 0);
}

static void release(struct kvmi_vm *k, unsigned vcpu)
{
	struct kvmi_vcpu_state *v = &k->vcpu[vcpu];

	if (!v->holds || --v->holds)
		return;
	v->unheld = false;
	if (v->waits && (v->at.event == KVMI_EVENT_PAUSE || v->at.event == KVMI_EVENT_CREATE_VCPU))
		kvmi_answer_locked(k, vcpu, KVMI_CONTINUE, 0);
	kvmi_next_step_locked(k);
}

/*
 * The reply says that the vCPU has left the guest; before it enters it again it
 * sends its PAUSE event, which need not be waited for.  One that was not started does
 * not run either, and can be told nothing.
 */
static int hold(struct kvmi_vm *k, unsigned vcpu)
{
	struct kvmi_call call = kvmi_pause_call(k->generation, vcpu);
	struct kvmi_vcpu_state *v = &k->vcpu[vcpu];
	int ret;

	v->pauses_due++;
	ret = kvmi_calls_locked(k, &call, 1);
	v->unheld = !ret && call.err == KVMI_EAGAIN && v->holds;
	if ((ret < 0 || call.err) && v->pauses_due)
		v->pauses_due--;
	if (ret < 0 || !call.err || call.err == KVMI_EAGAIN)
		return ret;
	return kvmi_refused(k, &call);
}

int kvmi_hold_started_locked(struct kvmi_vm *k)
{
	int ret = 0;

	for (unsigned i = 0; !ret && i < k->vm->vcpus; i++)
		if (k->vcpu[i].unheld && k->vcpu[i].holds && !k->vcpu[i].waits)
			ret = hold(k, i);
	return ret;
}

int kvmi_vcpu_stop(struct scry_vm *vm, unsigned vcpu)
{
	struct kvmi_vm *k = kvmi_of(vm);
	struct kvmi_vcpu_state *v = &k->vcpu[vcpu];
	uint64_t end = scry_now_ns() + (uint64_t)vm->timeout_ms * 1000000u;
	int ret = 0;

	pthread_mutex_lock(&k->lock);
	/* In a step over a breakpoint all others wait for it. */
	while (!k->ended && k->stepping == (int)vcpu && !kvmi_read_locked(k, end))
		;
	/* Held first: the event may come before the reply.  Another's hold may not be in force yet. */
	if (!v->holds++ || !v->waits)
		ret = hold(k, vcpu);
	/* It may have started another that is held since before; now it cannot. */
	if (!ret)
		ret = kvmi_hold_started_locked(k);
	if (ret < 0)
		release(k, vcpu);
	pthread_mutex_unlock(&k->lock);
	return ret;
}

/* What is owed to the vCPU when its event comes: mostly at once. */
#define SOON_NS 2000000u

int kvmi_vcpu_go(struct scry_vm *vm, unsigned vcpu)
{
	struct kvmi_vm *k = kvmi_of(vm);
	uint64_t end = scry_now_ns() + SOON_NS;
	int ret;

	pthread_mutex_lock(&k->lock);
	if (k->vcpu[vcpu].holds)
		release(k, vcpu);
	while (!k->ended && k->vcpu[vcpu].pauses_due && !k->vcpu[vcpu].waits)
		if (kvmi_read_locked(k, end) || scry_now_ns() > end)
			break;
	/* Later than that it is the keeper's. */
	if (k->vcpu[vcpu].pauses_due)
		pthread_cond_broadcast(&k->keep);
	ret = k->ended ? kvmi_ended(k) : 0;
	pthread_mutex_unlock(&k->lock);
	return ret;
}

bool kvmi_vcpu_waits(struct scry_vm *vm, unsigned vcpu)
{
	struct kvmi_vm *k = kvmi_of(vm);
	bool waits;

	pthread_mutex_lock(&k->lock);
	waits = k->vcpu[vcpu].queued || k->vcpu[vcpu].told;
	pthread_mutex_unlock(&k->lock);
	return waits;
}

void kvmi_hold_others_locked(struct kvmi_vm *k, unsigned vcpu)
{
	for (unsigned i = 0; i < k->vm->vcpus; i++) {
		const struct kvmi_call call = kvmi_pause_call(k->generation, i);

		if (i == vcpu || k->vcpu[i].holds++)
			continue;
		k->vcpu[i].pauses_due++;
		kvmi_post_locked(k, &call, (int)i);
	}
}

/* It waits in its first event until it is released. */
void kvmi_hold_new_locked(struct kvmi_vm *k, unsigned vcpu)
{
	unsigned vm_pauses = __atomic_load_n(&k->vm->vm_pauses, __ATOMIC_RELAXED);

	k->vcpu[vcpu].holds = (k->stepping >= 0) + (vm_pauses > 0);
}

void kvmi_release_others_locked(struct kvmi_vm *k, unsigned vcpu)
{
	for (unsigned i = 0; i < k->vm->vcpus; i++)
		if (i != vcpu)
			release(k, i);
}
