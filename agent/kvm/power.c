/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <unistd.h>

#include "agent/event/arm.h"
#include "agent/event/power.h"
#include "kvm.h"
#include "protocol/bits.h"

/*
 * How a guest ends, and its processors start, which is all looked for before KVM_RUN:
 * a device that has asked QEMU for an end did so in a vCPU's thread.
 */

#define POLL_US 300u

static void stop_here(struct kvcpu *k)
{
	struct kvm_mp_state state = { .mp_state = KVM_MP_STATE_UNINITIALIZED };

	k->shut = true;
	kvm_ioctl(k->fd, KVM_SET_MP_STATE, &state);
}

/* True: the machine is about to end. */
static bool ask(struct vcpu *vcpu, struct kvcpu *k, enum scry_shutdown_type type)
{
	struct scry_event event;
	bool ours;

	kvm_describe(vcpu, &event);
	event.kind = SCRY_EVENT_SHUTDOWN;
	event.shutdown.type = type;
	ours = vcpu_ask(vcpu, &event);
	vcpu->power.asks = false;
	if (!ours || vcpu->jumps)
		return false;
	if (vcpu->action == SCRY_CONTINUE) {
		bql_lock();
		power_request(type);
		qemu.bql_unlock();
		return true;
	}
	if (type == SCRY_SHUTDOWN_TRIPLE_FAULT)
		stop_here(k);
	return false;
}

/* KVM is in the middle of the OUT that has asked. */
static bool device_asks(struct vcpu *vcpu, struct kvcpu *k)
{
	if (k->unfinished) {
		kvm_finish(k);
		kvm_skip(k);
	}
	return ask(vcpu, k, vcpu->power.type);
}

/* The NMI that it takes all the same it cannot deliver, either. */
static bool shut_look(struct vcpu *vcpu, struct kvcpu *k)
{
	struct kvm_vcpu_events events;
	struct kvm_mp_state state;

	if (kvm_ioctl(k->fd, KVM_GET_MP_STATE, &state) < 0 ||
	    state.mp_state != KVM_MP_STATE_UNINITIALIZED) {
		k->shut = false;
		return false;
	}
	kvm_ioctl(k->fd, KVM_GET_VCPU_EVENTS, &events);
	if (!events.nmi.pending && !events.nmi.injected)
		return false;
	events.nmi.pending = events.nmi.injected = 0;
	events.flags = KVM_VCPUEVENT_VALID_NMI_PENDING;
	kvm_ioctl(k->fd, KVM_SET_VCPU_EVENTS, &events);
	return ask(vcpu, k, SCRY_SHUTDOWN_TRIPLE_FAULT);
}

/*
 * KVM starts a processor that has had its INIT by itself, and says nothing: so that
 * one does not run, but is looked at.  True: it still waits.
 */
static bool start_look(struct vcpu *vcpu, struct kvcpu *k)
{
	struct scry_event event;
	struct kvm_mp_state state;
	struct kvm_sregs s;

	if (kvm_ioctl(k->fd, KVM_GET_MP_STATE, &state) < 0)
		return false;
	if (state.mp_state != KVM_MP_STATE_RUNNABLE) {
		k->waits |= state.mp_state == KVM_MP_STATE_UNINITIALIZED ||
			    state.mp_state == KVM_MP_STATE_INIT_RECEIVED;
		if (state.mp_state == KVM_MP_STATE_INIT_RECEIVED)
			usleep(POLL_US);
		return state.mp_state == KVM_MP_STATE_INIT_RECEIVED;
	}
	if (!k->waits)
		return false;
	k->waits = false;
	kvm_ioctl(k->fd, KVM_GET_SREGS, &s);
	if (s.apic_base & APIC_BASE_BSP)
		return false;	/* shut down before: it goes on by a reset, no other starts it */
	kvm_describe(vcpu, &event);
	event.kind = SCRY_EVENT_START;
	event.start.gpa = s.cs.base;
	if (vcpu_ask(vcpu, &event) && vcpu->action == SCRY_INJECT)
		kvm_raise(vcpu, k);
	return false;
}

bool kvm_power_look(struct vcpu *vcpu, struct kvcpu *k)
{
	bool leaves = (vcpu->power.asks && device_asks(vcpu, k)) || (k->shut && shut_look(vcpu, k));
	const struct filters *filters = arm_filters();	/* the client may have changed them in there */

	if (!leaves && filters && filter_match_kind(filters, vcpu->index, SCRY_EVENT_START))
		leaves = start_look(vcpu, k);
	errno = EINTR;
	return leaves;
}

enum kvm_outcome kvm_triple_fault(struct vcpu *vcpu, struct kvcpu *k, int *ret)
{
	const struct filters *filters = arm_filters();

	vcpu->power.triple_fault = true;	/* should QEMU see it */
	if (!filters || !filter_match_shutdown(filters, vcpu->index, SCRY_SHUTDOWN_TRIPLE_FAULT))
		return KVM_TO_QEMU;
	vcpu->power.triple_fault = false;
	if (!ask(vcpu, k, SCRY_SHUTDOWN_TRIPLE_FAULT))
		return KVM_AGAIN;
	*ret = -1;
	errno = EINTR;
	return KVM_TO_QEMU;
}
