/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../../protocol/futex.h"
#include "connection.h"
#include "qemu.h"

/* How long to sleep between looks whether QEMU still lives. */
#define SLICE_MS 100

int qemu_subscribe(struct scry_vm *vm, const struct scry_subscription *sub)
{
	struct scry_agent_subscribe request = { .header.type = SCRY_AGENT_SUBSCRIBE, .sub = *sub };
	uint64_t number = 0;
	int ret = qemu_exchange_value(qemu_of(vm), &request, sizeof(request), &number);

	if (ret < 0)
		return ret;
	if (!number || number > INT32_MAX)
		return scry_fail(SCRY_E_PROTOCOL, "the agent gave a subscription no number");
	return (int)number;
}

int qemu_unsubscribe(struct scry_vm *vm, int subscription)
{
	return qemu_request_value(qemu_of(vm), SCRY_AGENT_UNSUBSCRIBE, (uint64_t)subscription,
				  NULL);
}

#define ALL_ACCESSES (SCRY_READ | SCRY_WRITE | SCRY_EXEC)

static bool is_sane(const struct scry_event *e)
{
	if (e->kind >= SCRY_EVENT_COUNT || e->cpl > 3 || e->insn_len > 15 || e->view >= SCRY_VIEWS)
		return false;
	switch (e->kind) {
	case SCRY_EVENT_CR_WRITE:
	case SCRY_EVENT_CR_READ:
		return scry_is_cr(e->cr.cr);
	case SCRY_EVENT_DR_READ:
	case SCRY_EVENT_DR_WRITE:
		return e->dr.dr <= 7 && (e->dr.dr | 1) != 5;
	case SCRY_EVENT_INTERRUPT:
		return e->interrupt.type <= SCRY_INTERRUPT_NMI;
	case SCRY_EVENT_DESCRIPTOR:
		return e->desc.table <= SCRY_TABLE_TR;
	case SCRY_EVENT_SHUTDOWN:
		return e->shutdown.type <= SCRY_SHUTDOWN_TRIPLE_FAULT;
	case SCRY_EVENT_MEMORY:
		return e->memory.access && !(e->memory.access & ~ALL_ACCESSES);
	default:
		return true;
	}
}

/* Take the event of one vCPU if there is a new one: 1, 0 or a failure. */
static int take_one(struct qemu_vm *q, unsigned vcpu, struct scry_event *event)
{
	struct scry_agent_slot *slot = qemu_slot(q, vcpu);
	struct qemu_vcpu *v = &q->vcpu[vcpu];
	uint32_t seq = atomic_load_explicit(&slot->event_seq, memory_order_acquire);

	if (seq == (uint32_t)v->seen)
		return 0;
	*event = slot->event;
	/* What is checked from here on is the copy. */
	atomic_signal_fence(memory_order_seq_cst);
	if (v->pending || event->vcpu != vcpu || event->sequence != v->seen + 1 ||
	    seq != (uint32_t)event->sequence || !is_sane(event)) {
		qemu_end(q, SCRY_E_PROTOCOL);
		return scry_fail(SCRY_E_PROTOCOL, "the agent sent a malformed event");
	}
	v->seen = event->sequence;
	atomic_store_explicit(&v->pending, event->sequence, memory_order_release);
	return 1;
}

static int take_all(struct qemu_vm *q, struct scry_event *events, size_t max)
{
	unsigned vcpus = q->vm->vcpus, vcpu = q->first;
	size_t n = 0;

	for (unsigned i = 0; i < vcpus && n < max; i++) {
		int ret = take_one(q, vcpu, &events[n]);

		if (ret < 0)
			return ret;
		n += (size_t)ret;
		vcpu = vcpu + 1 < vcpus ? vcpu + 1 : 0;
	}
	/* With little room no vCPU is to come first for ever. */
	q->first = vcpu;
	return (int)n;
}

/* Look at the slots for a bounded time. */
static int spin(struct qemu_vm *q, struct scry_event *events, size_t max)
{
	struct scry_spin turns = { 0 };
	int n;

	do
		n = take_all(q, events, max);
	while (!n && scry_spin(&turns));
	return n;
}

/* Say how the agent is to tell of an event; it reads the word at each one, so leave it alone. */
static void set_sleep(struct qemu_vm *q, enum scry_agent_sleep how)
{
	if (q->sleep == how)
		return;
	q->sleep = how;
	/* Sequentially consistent: we see an event that came before, or the agent sees this. */
	atomic_store(&q->shared->sleep, how);
}

static int slice_ms(uint64_t end)
{
	uint64_t now = scry_now_ns(), left = now < end ? (end - now) / 1000000u + 1 : 0;

	return left < SLICE_MS ? (int)left : SLICE_MS;
}

/* Events that came before the hang-up, or what the hang-up is. */
static int take_last(struct qemu_vm *q, struct scry_event *events, size_t max)
{
	int n = take_all(q, events, max);

	if (n)
		return n;
	qemu_end(q, SCRY_E_GONE);
	return qemu_ended(q);
}

/* Sleep until the agent rings, in slices, with a look at the socket between them. */
static int sleep_until(struct qemu_vm *q, struct scry_event *events, size_t max, uint64_t end)
{
	_Atomic uint32_t *bell = &q->shared->bell;

	set_sleep(q, SCRY_AGENT_FUTEX);
	for (;;) {
		uint32_t rung = atomic_load(bell);
		int n = take_all(q, events, max), ms = slice_ms(end);

		if (n || !ms)
			return n;
		if (qemu_hung_up(q))
			return take_last(q, events, max);
		scry_futex_wait(bell, rung, ms);
	}
}

/* No event is there: have the descriptor of scry_event_fd(), if there is one, tell of the next. */
static int arm(struct qemu_vm *q, struct scry_event *events, size_t max)
{
	char rung[256];

	if (qemu_hung_up(q))
		return take_last(q, events, max);
	if (q->epoll < 0)
		return 0;
	/* What it has told of so far; of a bell that is rung all the time, some. */
	for (int i = 0; i < 16 && recv(q->bell, rung, sizeof(rung), MSG_DONTWAIT) > 0; i++)
		;
	set_sleep(q, SCRY_AGENT_SOCKET);
	return take_all(q, events, max);
}

static int wait_long(struct qemu_vm *q, struct scry_event *events, size_t max, int timeout_ms)
{
	int n;

	set_sleep(q, SCRY_AGENT_AWAKE);
	n = spin(q, events, max);
	if (n)
		return n;
	return sleep_until(q, events, max, timeout_ms < 0 ? UINT64_MAX :
			   scry_now_ns() + (uint64_t)timeout_ms * 1000000u);
}

int qemu_event_wait(struct scry_vm *vm, struct scry_event *events, size_t max, int timeout_ms)
{
	struct qemu_vm *q = qemu_of(vm);
	int n = q->ended ? qemu_ended(q) : take_all(q, events, max);

	if (!n)
		n = timeout_ms ? wait_long(q, events, max, timeout_ms) : arm(q, events, max);
	/* Until it finds nothing again the caller looks by itself. */
	if (n)
		set_sleep(q, SCRY_AGENT_AWAKE);
	return n;
}

static int make_epoll(struct qemu_vm *q)
{
	struct epoll_event bell = { .events = EPOLLIN };
	struct epoll_event hangup = { .events = EPOLLRDHUP };
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd < 0)
		return scry_fail(SCRY_E_IO, "cannot make an epoll descriptor: %s", strerror(errno));
	if (epoll_ctl(fd, EPOLL_CTL_ADD, q->bell, &bell) < 0 ||
	    epoll_ctl(fd, EPOLL_CTL_ADD, q->socket, &hangup) < 0) {
		int ret = scry_fail(SCRY_E_IO, "cannot watch the agent's descriptors: %s",
				    strerror(errno));

		close(fd);
		return ret;
	}
	q->epoll = fd;
	return fd;
}

void qemu_event_times(struct scry_vm *vm, bool on)
{
	atomic_store(&qemu_of(vm)->shared->times, on);
}

int qemu_event_fd(struct scry_vm *vm)
{
	struct qemu_vm *q = qemu_of(vm);
	int fd;

	pthread_mutex_lock(&q->socket_lock);
	fd = q->epoll >= 0 ? q->epoll : make_epoll(q);
	pthread_mutex_unlock(&q->socket_lock);
	return fd;
}

int qemu_reply(struct scry_vm *vm, const struct scry_event *event, const struct scry_reply *reply)
{
	struct qemu_vm *q = qemu_of(vm);
	struct qemu_vcpu *v = &q->vcpu[event->vcpu];
	struct scry_agent_slot *slot;
	int ret;

	slot = qemu_slot_take(vm, event->vcpu, &ret);
	if (!slot)
		return ret;
	if (v->pending != event->sequence) {
		qemu_slot_give(vm, event->vcpu);
		return scry_fail(SCRY_E_STATE, "vCPU %u does not wait for a reply to this event",
				 event->vcpu);
	}
	slot->action = reply->action;
	slot->exception = reply->exception;
	slot->flags = reply->flags;
	slot->view = reply->view;
	slot->set = reply->set;
	if (reply->set)
		slot->regs = *reply->regs;
	/* Before the post: the vCPU's next event may follow at once. */
	atomic_store_explicit(&v->pending, 0, memory_order_release);
	qemu_slot_post(slot, SCRY_AGENT_OP_REPLY);
	if (!reply->set && !reply->flags) {
		v->replied = event->sequence;
	} else {
		ret = qemu_slot_await(vm, event->vcpu);
		if (ret < 0)
			v->pending = event->sequence;
	}
	qemu_slot_give(vm, event->vcpu);
	return ret;
}
