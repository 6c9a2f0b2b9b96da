/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../../../protocol/futex.h"
#include "kvmi.h"

void kvmi_pass_locked(struct kvmi_vm *k, unsigned vcpu)
{
	const struct kvmi_occurrence *o = &k->vcpu[vcpu].at;
	uint64_t value = o->event == KVMI_EVENT_CR ? o->part.cr.new_value :
			 o->event == KVMI_EVENT_MSR ? o->part.msr.new_value : 0;

	kvmi_go_on_locked(k, vcpu, KVMI_CONTINUE, value);
}

void kvmi_queue_locked(struct kvmi_vm *k, unsigned vcpu, const struct scry_event *event)
{
	struct kvmi_vcpu_state *v = &k->vcpu[vcpu];
	const uint64_t one = 1;

	kvmi_break_off_locked(k, vcpu);
	v->event = *event;
	v->since_ns = scry_now_ns();
	if (k->times)
		v->event.time_ns = v->since_ns;
	v->queued = true;
	if (k->epoll >= 0 && write(k->wake, &one, sizeof(one)) < 0)
		return;	/* it is readable already */
}

/* A breakpoint's event in place of the fetch's. */
static void as_breakpoint(struct scry_event *event, int number)
{
	event->kind = SCRY_EVENT_BREAKPOINT;
	memset(&event->memory, 0, sizeof(event->memory));
	event->breakpoint.number = (uint32_t)number;
}

void kvmi_tell_locked(struct kvmi_vm *k, unsigned vcpu, bool fetch_told)
{
	struct kvmi_vcpu_state *v = &k->vcpu[vcpu];
	struct scry_event event;
	int hit = 0;

	if (!kvmi_describe(k, &v->at, &event)) {
		kvmi_pass_locked(k, vcpu);
		return;
	}
	if (v->at.event == KVMI_EVENT_PF && v->at.part.pf.access & KVMI_EXEC)
		hit = kvmi_break_hit_locked(k, &v->at);
	v->fetch_told = fetch_told;
	/* The instruction that is being stepped over, from a frame that is open: once more. */
	if (hit && kvmi_is_step_locked(k, &v->at) &&
	    kvmi_is_open_locked(k, kvmi_view_now(v), v->at.part.pf.gpa >> 12)) {
		kvmi_step_over_locked(k, vcpu);
	} else if (!fetch_told && kvmi_wanted_locked(k, &event)) {
		kvmi_queue_locked(k, vcpu, &event);
	} else if (hit > 0) {
		as_breakpoint(&event, hit);
		kvmi_queue_locked(k, vcpu, &event);
	} else if (hit < 0) {
		kvmi_step_over_locked(k, vcpu);
	} else {
		kvmi_pass_locked(k, vcpu);
	}
}

/* A vCPU that the VM did not have. */
static bool new_vcpu(struct kvmi_vm *k, const struct kvmi_occurrence *o)
{
	if (o->event != KVMI_EVENT_CREATE_VCPU || o->vcpu >= SCRY_MAX_VCPUS)
		return false;
	while (k->vm->vcpus <= o->vcpu)
		kvmi_hold_new_locked(k, k->vm->vcpus++);
	return true;
}

static void let_go(struct kvmi_vm *k)
{
	kvmi_end(k, SCRY_E_GONE, "QEMU asked to let go of it (it is paused, saved or migrated "
		 "there): open it again when it runs");
}

bool kvmi_event_locked(struct kvmi_vm *k, const struct kvmi_occurrence *o)
{
	struct kvmi_vcpu_state *v;

	if (o->event == KVMI_EVENT_UNHOOK) {
		let_go(k);
		return true;
	}
	if (o->event == KVMI_EVENT_CMD_ERROR || (o->vcpu >= k->vm->vcpus && !new_vcpu(k, o)))
		return false;
	v = &k->vcpu[o->vcpu];
	if (v->waits)
		return false;
	v->waits = true;
	v->at = *o;
	switch (o->event) {
	case KVMI_EVENT_PAUSE:
		kvmi_paused_locked(k, o->vcpu);
		break;
	case KVMI_EVENT_TRAP:
		kvmi_trapped_locked(k, o->vcpu);
		break;
	case KVMI_EVENT_CREATE_VCPU:
		kvmi_arm_new_locked(k, o->vcpu);
		if (!v->holds)
			kvmi_pass_locked(k, o->vcpu);
		break;
	case KVMI_EVENT_SINGLESTEP:
		kvmi_stepped_locked(k, o->vcpu);
		break;
	default:
		kvmi_tell_locked(k, o->vcpu, false);
	}
	return true;
}

/* What the kernel would have the guest see; a leaf that there is not has zeros. */
static int ask_cpuid(struct kvmi_vm *k, struct scry_event *event)
{
	const struct kvmi_cpuid request = { event->cpuid.leaf, event->cpuid.subleaf };
	struct kvmi_call call = kvmi_vcpu_call(KVMI_GET_CPUID, event->vcpu, &request,
					       sizeof(request));
	struct kvmi_cpuid_reply reply = { 0 };
	int ret;

	call.reply = &reply;
	call.reply_min = call.reply_max = sizeof(reply);
	ret = kvmi_calls(k, &call, 1);
	event->cpuid.eax = reply.eax;
	event->cpuid.ebx = reply.ebx;
	event->cpuid.ecx = reply.ecx;
	event->cpuid.edx = reply.edx;
	return ret;
}

/* What is to be found out before the event is the caller's; without the lock. */
static int complete(struct kvmi_vm *k, const struct kvmi_occurrence *o, struct scry_event *event)
{
	if (event->kind == SCRY_EVENT_CPUID)
		return ask_cpuid(k, event);
	/* By messages that would take long: it is done when it is needed. */
	if (k->vm->ram_access != SCRY_RAM_MESSAGES)
		kvmi_decode(k, o, &k->as, event);
	return 0;
}

/* Give out the vCPU's event, if it is wanted now that all is known of it: 1, 0 or a failure. */
static int give(struct kvmi_vm *k, unsigned vcpu, struct scry_event *event)
{
	struct kvmi_vcpu_state *v = &k->vcpu[vcpu];
	const struct kvmi_occurrence o = v->at;
	int ret;

	*event = v->event;
	pthread_mutex_unlock(&k->lock);
	ret = complete(k, &o, event);
	pthread_mutex_lock(&k->lock);
	if (ret < 0)
		return ret;
	if (k->ended)
		return kvmi_ended(k);
	v->queued = false;
	if (event->kind == SCRY_EVENT_MEMORY && !kvmi_wanted_locked(k, event)) {
		kvmi_tell_locked(k, vcpu, true);
		return 0;
	}
	event->sequence = ++v->sequence;
	v->event = *event;
	v->told = true;
	return 1;
}

static int take(struct kvmi_vm *k, struct scry_event *events, size_t max)
{
	unsigned vcpu = k->first, vcpus = k->vm->vcpus;
	size_t n = 0;
	int ret = 0;

	for (unsigned i = 0; i < vcpus && n < max; i++) {
		ret = k->vcpu[vcpu].queued ? give(k, vcpu, &events[n]) : 0;
		if (ret < 0)
			break;
		n += (size_t)ret;
		vcpu = vcpu + 1 < vcpus ? vcpu + 1 : 0;
	}
	/* With little room no vCPU is to come first for ever; what failed is told first next time. */
	k->first = vcpu;
	return n ? (int)n : ret;
}

static int wait_until(struct kvmi_vm *k, struct scry_event *events, size_t max, uint64_t end)
{
	int n = 0, over = 0;

	while (!k->ended) {
		n = take(k, events, max);
		if (n || over)
			return n;
		over = kvmi_read_locked(k, end);
	}
	return kvmi_ended(k);
}

int kvmi_event_wait(struct scry_vm *vm, struct scry_event *events, size_t max, int timeout_ms)
{
	struct kvmi_vm *k = kvmi_of(vm);
	uint64_t rung, end = timeout_ms < 0 ? UINT64_MAX :
			     scry_now_ns() + (uint64_t)timeout_ms * 1000000u;
	int n;

	pthread_mutex_lock(&k->lock);
	n = wait_until(k, events, max, end);
	/* The descriptor is quiet when nothing is there. */
	if (!n && k->epoll >= 0 && read(k->wake, &rung, sizeof(rung)) < 0)
		n = 0;
	pthread_mutex_unlock(&k->lock);
	return n;
}

void kvmi_event_times(struct scry_vm *vm, bool on)
{
	struct kvmi_vm *k = kvmi_of(vm);

	pthread_mutex_lock(&k->lock);
	k->times = on;
	pthread_mutex_unlock(&k->lock);
}

static int make_epoll(struct kvmi_vm *k)
{
	struct epoll_event in = { .events = EPOLLIN };

	k->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	k->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (k->wake >= 0 && k->epoll >= 0 &&
	    !epoll_ctl(k->epoll, EPOLL_CTL_ADD, k->wake, &in) &&
	    !epoll_ctl(k->epoll, EPOLL_CTL_ADD, k->socket, &in))
		return k->epoll;
	return scry_fail(SCRY_E_IO, "cannot make a descriptor for events: %s", strerror(errno));
}

static bool any_queued(const struct kvmi_vm *k)
{
	for (unsigned i = 0; i < k->vm->vcpus; i++)
		if (k->vcpu[i].queued)
			return true;
	return false;
}

int kvmi_event_fd(struct scry_vm *vm)
{
	struct kvmi_vm *k = kvmi_of(vm);
	const uint64_t one = 1;
	int fd;

	pthread_mutex_lock(&k->lock);
	fd = k->epoll >= 0 ? k->epoll : make_epoll(k);
	if (fd >= 0 && any_queued(k) && write(k->wake, &one, sizeof(one)) < 0)
		fd = scry_fail(SCRY_E_IO, "cannot ring for events: %s", strerror(errno));
	pthread_mutex_unlock(&k->lock);
	return fd;
}
