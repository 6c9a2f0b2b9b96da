/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "events.h"
#include "move.h"

#define WITH_REPLY (SCRY_REGS_GPR | SCRY_REG_BIT(SCRY_REG_RIP) | SCRY_REG_BIT(SCRY_REG_RFLAGS))

static int add_sub(struct xen_events *e, const struct scry_subscription *sub)
{
	unsigned i = 0;
	int ret;

	while (i < XEN_SUBSCRIPTIONS && e->sub[i].number)
		i++;
	if (i == XEN_SUBSCRIPTIONS)
		return scry_fail(SCRY_E_NOMEM, "VM %s has %d subscriptions, and takes no more: end one",
				 e->vm->name, XEN_SUBSCRIPTIONS);
	ret = sub->kind == SCRY_EVENT_MEMORY ? xen_views_need(e) : xen_ring_open(e);
	if (ret < 0)
		return ret;
	e->sub[i] = (struct xen_sub){ .number = (int)i + 1, .sub = *sub };
	ret = xen_arm(e);
	if (ret < 0) {
		e->sub[i].number = 0;
		xen_arm(e);
	}
	return ret < 0 ? ret : (int)i + 1;
}

/* What Xen's interface has no means for, though the kind of event as a whole it has. */
static int check_msrs(const struct scry_subscription *sub)
{
	for (uint32_t i = 0; i < sub->msr.count; i++)
		if (sub->msr.index[i] - xen_msr_first(0) >= 0x2000 &&
		    sub->msr.index[i] - xen_msr_first(1) >= 0x2000)
			return scry_fail(SCRY_E_UNSUPPORTED, "Xen cannot watch MSR 0x%x: those up to "
					 "0x1fff it can, and 0xc0000000 to 0xc0001fff",
					 sub->msr.index[i]);
	return 0;
}

static int check_sub(const struct scry_subscription *sub)
{
	if (sub->kind == SCRY_EVENT_MSR_WRITE)
		return check_msrs(sub);

	if (sub->kind == SCRY_EVENT_CR_WRITE && (sub->cr.cr == 2 || sub->cr.cr == 8))
		return scry_fail(SCRY_E_UNSUPPORTED, "Xen does not tell of writes of CR%u: of CR0, CR3 "
				 "and CR4 it does", sub->cr.cr);
	return 0;
}

int xen_subscribe(struct scry_vm *vm, const struct scry_subscription *sub)
{
	struct xen_events *e = xen_events_of(vm);
	int ret = check_sub(sub);

	if (!ret)
		ret = xen_events_ended(e);
	if (ret < 0)
		return ret;
	pthread_mutex_lock(&e->lock);
	ret = add_sub(e, sub);
	pthread_mutex_unlock(&e->lock);
	return ret;
}

int xen_unsubscribe(struct scry_vm *vm, int subscription)
{
	struct xen_events *e = xen_events_of(vm);
	int ret = xen_events_ended(e);

	if (ret < 0)
		return ret;
	if (subscription > XEN_SUBSCRIPTIONS)
		return scry_fail(SCRY_E_NOTFOUND, "there is no subscription %d", subscription);
	pthread_mutex_lock(&e->lock);
	if (e->sub[subscription - 1].number) {
		e->sub[subscription - 1].number = 0;
		ret = xen_arm(e);
	} else {
		ret = scry_fail(SCRY_E_NOTFOUND, "there is no subscription %d", subscription);
	}
	pthread_mutex_unlock(&e->lock);
	return ret;
}

static void deliver(struct xen_events *e, struct xen_vcpu *v)
{
	v->event.sequence = ++v->sequence;
	v->event.time_ns = e->times ? xen_now_ns() : 0;
	v->keep = 0;
	v->inject = false;
	v->ready = true;
	atomic_store(&v->pending, v->event.sequence);
}

/* INT3 comes as an interrupt, too, if that is wanted. */
static bool is_interrupt(struct xen_events *e, struct xen_vcpu *v)
{
	struct scry_event event = v->event;

	event.kind = SCRY_EVENT_INTERRUPT;
	event.interrupt.type = SCRY_INTERRUPT_SOFTWARE;
	event.interrupt.vector = 3;
	event.interrupt.has_error = 0;
	event.interrupt.error_code = 0;
	event.interrupt.cr2 = 0;
	if (v->event.kind != SCRY_EVENT_INT3 || !xen_filter(e, &event))
		return false;
	v->event = event;
	return true;
}

/*
 * Behind a fetch that is let pass a breakpoint may hide, which the step elsewhere would
 * pass, too.
 */
static bool is_breakpoint(struct xen_events *e, struct xen_vcpu *v)
{
	struct scry_event event = v->event;
	int number;

	if (event.kind != SCRY_EVENT_MEMORY || !(event.memory.access & SCRY_EXEC) ||
	    event.memory.gva != event.rip)
		return false;
	number = xen_breakpoint_at(e, event.memory.gpa >> 12, &event);
	if (number <= 0)
		return false;
	event.kind = SCRY_EVENT_BREAKPOINT;
	event.breakpoint.number = (uint32_t)number;
	v->event = event;
	return true;
}

/* What one request tells of comes as another kind of event, too. */
static bool is_another(struct xen_events *e, struct xen_vcpu *v)
{
	return is_interrupt(e, v) || is_breakpoint(e, v);
}

/* A request that was just taken: an event, or answered at once. */
static void look_at(struct xen_events *e, unsigned vcpu)
{
	const vm_event_request_t *r = &e->watchdog->shared->vcpu[vcpu].request;
	struct xen_vcpu *v = &e->vcpu[vcpu];
	bool passes, wanted;

	pthread_mutex_lock(&v->lock);
	passes = v->pass_reason == r->reason && v->pass_rip == r->data.regs.x86.rip &&
		 v->pass_idx == r->altp2m_idx;
	wanted = xen_describe(e, v, r, &v->event) && !passes;
	if (r->reason == VM_EVENT_REASON_SINGLESTEP)
		xen_stepped(e, vcpu);
	if (wanted && (xen_filter(e, &v->event) || is_another(e, v)))
		deliver(e, v);
	else
		xen_pass(e, vcpu);
	pthread_mutex_unlock(&v->lock);
}

void xen_pump(struct xen_events *e)
{
	struct xen_shared *s = e->watchdog->shared;
	unsigned vcpu;
	bool any = true;

	while (e->page && any && xen_shared_lock(s)) {
		any = xen_ring_take(s, e->page, &vcpu);
		xen_shared_unlock(s);
		if (any)
			look_at(e, vcpu);
	}
}

static int collect(struct xen_events *e, struct scry_event *events, size_t max)
{
	unsigned vcpus = e->vm->vcpus, vcpu = e->first;
	size_t n = 0;

	pthread_mutex_lock(&e->lock);
	xen_pump(e);
	for (unsigned i = 0; i < vcpus && n < max; i++) {
		struct xen_vcpu *v = &e->vcpu[vcpu];

		pthread_mutex_lock(&v->lock);
		if (v->ready)
			events[n++] = v->event;
		v->ready = false;
		pthread_mutex_unlock(&v->lock);
		vcpu = vcpu + 1 < vcpus ? vcpu + 1 : 0;
	}
	/* With little room no vCPU is to come first for ever. */
	e->first = vcpu;
	pthread_mutex_unlock(&e->lock);
	return (int)n;
}

/* What the descriptors have told of so far. */
void xen_drain_port(struct xen_events *e)
{
	uint32_t ports[16];
	ssize_t n;

	if (e->evtchn < 0)
		return;
	/* Written back, they tell again. */
	while ((n = read(e->evtchn, ports, sizeof(ports))) > 0)
		if (write(e->evtchn, ports, (size_t)n) != n)
			return;
}

static void drain(struct xen_events *e)
{
	uint64_t rung;

	if (read(e->bell, &rung, sizeof(rung)) < 0 && errno != EAGAIN)
		return;
	xen_drain_port(e);
}

static int collect_late(struct xen_events *e, struct scry_event *events, size_t max)
{
	int ret;

	drain(e);
	ret = collect(e, events, max);
	return ret ? ret : xen_events_ended(e);
}

static int left_ms(uint64_t end)
{
	uint64_t now = xen_now_ns(), left = now < end ? (end - now) / 1000000u + 1 : 0;

	return left < 60000 ? (int)left : 60000;
}

static int wait_for(struct xen_events *e, struct scry_event *events, size_t max, int timeout_ms)
{
	uint64_t end = timeout_ms < 0 ? UINT64_MAX :
		       xen_now_ns() + (uint64_t)timeout_ms * 1000000u;
	int n = xen_events_ended(e), ms;

	if (!n)
		n = collect(e, events, max);
	while (!n) {
		struct epoll_event what;

		n = collect_late(e, events, max);
		ms = left_ms(end);
		if (n || !timeout_ms || !ms)
			return n;
		if (epoll_wait(e->epoll, &what, 1, ms) > 0 && what.data.u32 == XEN_EPOLL_WATCHDOG)
			e->orphan = true;
	}
	return n;
}

int xen_event_wait(struct scry_vm *vm, struct scry_event *events, size_t max, int timeout_ms)
{
	struct xen_events *e = xen_events_of(vm);
	int n;

	xen_keeper_rests(e, true);
	n = wait_for(e, events, max, timeout_ms);
	xen_keeper_rests(e, false);
	return n;
}

void xen_event_times(struct scry_vm *vm, bool on)
{
	xen_events_of(vm)->times = on;
}

int xen_event_fd(struct scry_vm *vm)
{
	return xen_events_of(vm)->epoll;
}

bool xen_vcpu_waits(struct scry_vm *vm, unsigned vcpu)
{
	return atomic_load(&xen_events_of(vm)->vcpu[vcpu].pending) != 0;
}

static int check_reply(struct xen_events *e, const struct scry_event *event,
		       const struct scry_reply *reply)
{
	const struct scry_regs *regs = reply->regs;

	if (e->vcpu[event->vcpu].pending != event->sequence)
		return scry_fail(SCRY_E_STATE, "vCPU %u does not wait for a reply to this event",
				 event->vcpu);
	if (reply->flags && (reply->view >= XEN_ALTP2MS || !e->views.view[reply->view].used))
		return scry_fail(SCRY_E_NOTFOUND, "there is no view %u of VM %s", reply->view,
				 e->vm->name);
	if (reply->set & SCRY_REG_BIT(SCRY_REG_RIP) &&
	    (uint64_t)((int64_t)(regs->rip << 7) >> 7) != regs->rip)
		return scry_fail(SCRY_E_REFUSED, "rip %#llx is not canonical",
				 (unsigned long long)regs->rip);
	return 0;
}

/* The registers that were written meanwhile, and over them those of the reply. */
static void merge(struct xen_vcpu *v, const struct scry_reply *reply, struct xen_answer *answer)
{
	answer->set = (reply->set & WITH_REPLY) | v->keep;
	for (unsigned reg = 0; reg <= SCRY_REG_RFLAGS; reg++)
		if (reply->set >> reg & 1)
			*scry_reg_ref(&v->kept, reg) = scry_reg_value(reply->regs, reg);
	answer->regs = &v->kept;
	if (!v->inject || answer->action == SCRY_DENY || answer->action == SCRY_INJECT)
		return;
	if (answer->action == SCRY_SKIP && !(answer->set & SCRY_REG_BIT(SCRY_REG_RIP))) {
		v->kept.rip = v->event.rip + v->event.insn_len;
		answer->set |= SCRY_REG_BIT(SCRY_REG_RIP);
	}
	answer->action = SCRY_INJECT;
	answer->exception = &v->injection;
}

static int reply_to(struct xen_events *e, unsigned vcpu, const struct scry_reply *reply)
{
	struct xen_vcpu *v = &e->vcpu[vcpu];
	struct xen_answer answer = { .action = reply->action, .exception = &reply->exception,
				     .flags = reply->flags, .view = reply->view };
	int ret;

	if (reply->flags == SCRY_REPLY_VIEW)
		v->view = reply->view;
	merge(v, reply, &answer);
	if (answer.action == SCRY_CONTINUE && !answer.set && !answer.flags && is_another(e, v)) {
		deliver(e, v);
		xen_ring_bell(e);
		return 0;
	}
	/* Before it is out: the vCPU's next event may follow at once. */
	v->pending = 0;
	ret = xen_answer(e, vcpu, &answer);
	if (ret < 0)
		v->pending = v->event.sequence;
	return ret;
}

int xen_reply(struct scry_vm *vm, const struct scry_event *event, const struct scry_reply *reply)
{
	struct xen_events *e = xen_events_of(vm);
	struct xen_vcpu *v = &e->vcpu[event->vcpu];
	int ret = xen_events_ended(e);

	if (ret < 0)
		return ret;
	pthread_mutex_lock(&e->lock);
	pthread_mutex_lock(&v->lock);
	ret = check_reply(e, event, reply);
	if (!ret && reply->set & ~WITH_REPLY)
		ret = xen_regs_write(vm, event->vcpu, reply->regs, reply->set & ~WITH_REPLY);
	if (!ret)
		ret = reply_to(e, event->vcpu, reply);
	pthread_mutex_unlock(&v->lock);
	pthread_mutex_unlock(&e->lock);
	return ret;
}
