/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "../../../protocol/futex.h"
#include "connection.h"
#include "qemu.h"

/* How long to sleep between looks whether QEMU still lives. */
#define SLICE_MS 100

/* Wait until *word is value: 0, SCRY_E_GONE or SCRY_E_TIMEOUT, not noted. */
static int wait_word(struct qemu_vm *q, _Atomic uint32_t *word, uint32_t value)
{
	uint64_t end = scry_now_ns() + (uint64_t)q->vm->timeout_ms * 1000000u;
	uint32_t now;

	while ((now = atomic_load(word)) != value) {
		if (qemu_hung_up(q))
			return SCRY_E_GONE;
		if (scry_now_ns() > end)
			return SCRY_E_TIMEOUT;
		scry_futex_wait(word, now, SLICE_MS);
	}
	return 0;
}

static int wait_failed(struct qemu_vm *q, unsigned vcpu, int ret)
{
	if (ret == SCRY_E_GONE) {
		qemu_end(q, ret);
		return qemu_ended(q);
	}
	return scry_fail(ret, "vCPU %u of VM %s did not answer within %d ms: is QEMU hung?", vcpu,
			 q->vm->name, q->vm->timeout_ms);
}

bool qemu_vcpu_waits(struct scry_vm *vm, unsigned vcpu)
{
	return atomic_load(&qemu_of(vm)->vcpu[vcpu].pending) != 0;
}

int qemu_vcpu_stop(struct scry_vm *vm, unsigned vcpu)
{
	struct qemu_vm *q = qemu_of(vm);
	struct scry_agent_slot *slot = qemu_slot(q, vcpu);
	int ret = qemu_request_value(q, SCRY_AGENT_STOP, vcpu, NULL);

	if (ret < 0)
		return ret;
	/*
	 * From here on the vCPU looks at the request before it runs guest code, so
	 * `stopped` means stopped, even if it was set for an event just answered.
	 */
	ret = wait_word(q, &slot->stopped, 1);
	if (ret < 0) {
		qemu_request_value(q, SCRY_AGENT_GO, vcpu, NULL);
		return wait_failed(q, vcpu, ret);
	}
	q->vcpu[vcpu].held = true;
	return 0;
}

int qemu_vcpu_go(struct scry_vm *vm, unsigned vcpu)
{
	struct qemu_vm *q = qemu_of(vm);

	pthread_mutex_lock(&q->vcpu[vcpu].lock);
	q->vcpu[vcpu].held = false;
	pthread_mutex_unlock(&q->vcpu[vcpu].lock);
	return qemu_request_value(q, SCRY_AGENT_GO, vcpu, NULL);
}

static int wait_done(struct qemu_vm *q, unsigned vcpu)
{
	struct scry_agent_slot *slot = qemu_slot(q, vcpu);
	uint32_t command = atomic_load_explicit(&slot->command, memory_order_relaxed);
	uint32_t done = atomic_load_explicit(&slot->done, memory_order_acquire);
	int ret;

	if (done == command)
		return 0;
	if (scry_spin_while(&slot->done, done) && atomic_load(&slot->done) == command)
		return 0;
	atomic_store(&slot->client_sleeps, 1);
	ret = wait_word(q, &slot->done, command);
	atomic_store(&slot->client_sleeps, 0);
	if (!ret)
		return 0;
	/* The command is out, and must not be carried out at some later stop. */
	wait_failed(q, vcpu, ret);
	qemu_end(q, ret);
	return ret;
}

struct scry_agent_slot *qemu_slot_take(struct scry_vm *vm, unsigned vcpu, int *err)
{
	struct qemu_vm *q = qemu_of(vm);
	struct qemu_vcpu *v = &q->vcpu[vcpu];

	pthread_mutex_lock(&v->lock);
	if (atomic_load_explicit(&q->shared->late, memory_order_relaxed))
		qemu_end(q, SCRY_E_GONE);
	if (q->ended)
		*err = qemu_ended(q);
	else if (!v->held && !v->pending)
		*err = scry_fail(SCRY_E_STATE, "vCPU %u of VM %s is running", vcpu, vm->name);
	else if (v->pending > v->replied)
		*err = 0;	/* a later event: the vCPU has carried that reply out */
	else
		*err = wait_done(q, vcpu);
	if (!*err)
		return qemu_slot(q, vcpu);
	pthread_mutex_unlock(&v->lock);
	return NULL;
}

void qemu_slot_post(struct scry_agent_slot *slot, enum scry_agent_op op)
{
	slot->op = op;
	/* The only writer is whoever holds the slot. */
	atomic_store(&slot->command,
		     atomic_load_explicit(&slot->command, memory_order_relaxed) + 1);
	if (atomic_load(&slot->vcpu_sleeps))
		scry_futex_wake(&slot->command);
}

int qemu_slot_await(struct scry_vm *vm, unsigned vcpu)
{
	struct scry_agent_slot *slot = qemu_slot(qemu_of(vm), vcpu);
	char text[sizeof(slot->text)];
	int ret = wait_done(qemu_of(vm), vcpu), status;

	if (ret < 0)
		return ret;
	status = __atomic_load_n(&slot->status, __ATOMIC_RELAXED);
	if (!status)
		return 0;
	/* As it hangs up the agent lets go of the vCPUs, and refuses what comes too late. */
	if (status == SCRY_E_STATE && qemu_hung_up(qemu_of(vm)))
		return wait_failed(qemu_of(vm), vcpu, SCRY_E_GONE);
	memcpy(text, slot->text, sizeof(text));
	ret = qemu_agent_failed(status, text, sizeof(text));
	if (ret == SCRY_E_PROTOCOL)
		qemu_end(qemu_of(vm), ret);
	return ret;
}

void qemu_slot_give(struct scry_vm *vm, unsigned vcpu)
{
	pthread_mutex_unlock(&qemu_of(vm)->vcpu[vcpu].lock);
}
