/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "driver.h"
#include "vm.h"

static const char *const names[] = {
#define SCRY_EVENT_NAME(NAME, name, text) name,
	SCRY_EVENTS(SCRY_EVENT_NAME)
#undef SCRY_EVENT_NAME
};

const char *scry_event_name(enum scry_event_kind kind)
{
	return (unsigned)kind < SCRY_EVENT_COUNT ? names[kind] : NULL;
}

static const enum scry_cap cap_of_event[] = {
#define SCRY_EVENT_CAP(NAME, name, text) SCRY_CAP_EVENT_##NAME,
	SCRY_EVENTS(SCRY_EVENT_CAP)
#undef SCRY_EVENT_CAP
};

static int check_filter(const struct scry_subscription *sub)
{
	switch (sub->kind) {
	case SCRY_EVENT_CR_WRITE:
	case SCRY_EVENT_CR_READ:
		if (!scry_is_cr(sub->cr.cr))
			return scry_fail(SCRY_E_INVAL, "there is no CR%u to watch: choose CR0, CR2, "
					 "CR3, CR4 or CR8", sub->cr.cr);
		return 0;
	case SCRY_EVENT_MSR_READ:
	case SCRY_EVENT_MSR_WRITE:
		if (sub->msr.count > SCRY_FILTER_MSRS)
			return scry_fail(SCRY_E_INVAL, "a subscription lists at most %d MSRs, not "
					 "%u: make several, or none for all", SCRY_FILTER_MSRS,
					 sub->msr.count);
		return 0;
	case SCRY_EVENT_MEMORY:
		if (sub->memory.access & ~(SCRY_READ | SCRY_WRITE | SCRY_EXEC))
			return scry_fail(SCRY_E_INVAL, "access 0x%x has bits beyond SCRY_READ, "
					 "SCRY_WRITE and SCRY_EXEC", sub->memory.access);
		if (sub->memory.use_range && sub->memory.first > sub->memory.last)
			return scry_fail(SCRY_E_INVAL, "the range's first address is behind its last");
		return 0;
	default:
		return 0;
	}
}

int scry_subscribe(struct scry_vm *vm, const struct scry_subscription *sub)
{
	int ret;

	if (!sub || sub->sz != sizeof(*sub))
		return scry_fail(SCRY_E_INVAL, "scry_subscription.sz must be sizeof(struct "
				 "scry_subscription)");
	if ((unsigned)sub->kind >= SCRY_EVENT_COUNT)
		return scry_fail(SCRY_E_INVAL, "there is no event kind %d", (int)sub->kind);
	if (sub->kind == SCRY_EVENT_BREAKPOINT)
		return scry_fail(SCRY_E_INVAL, "a breakpoint is planted by scry_breakpoint_add(), not "
				 "subscribed to");
	if (sub->kind == SCRY_EVENT_WATCHPOINT)
		return scry_fail(SCRY_E_INVAL, "a watchpoint is set by scry_watchpoint_add(), not "
				 "subscribed to");
	ret = scry_check_vcpus(vm, sub->vcpus);
	if (!ret)
		ret = scry_need(vm, cap_of_event[sub->kind]);
	if (!ret)
		ret = check_filter(sub);
	return ret < 0 ? ret : vm->driver->subscribe(vm, sub);
}

/* A driver has events, or none of what is about them. */
static int need_events(const struct scry_vm *vm)
{
	if (vm->driver->event_wait)
		return 0;
	return scry_fail(SCRY_E_UNSUPPORTED, "VM %s has no events: %s", vm->name,
			 vm->caps[SCRY_CAP_EVENT_CR_WRITE].reason);
}

int scry_unsubscribe(struct scry_vm *vm, int subscription)
{
	if (subscription <= 0)
		return scry_fail(SCRY_E_INVAL, "there is no subscription %d", subscription);
	return need_events(vm) < 0 ? SCRY_E_UNSUPPORTED : vm->driver->unsubscribe(vm, subscription);
}

int scry_event_wait(struct scry_vm *vm, struct scry_event *events, size_t max, int timeout_ms)
{
	if (!max || !events)
		return scry_fail(SCRY_E_INVAL, "scry_event_wait() needs room for an event");
	return need_events(vm) < 0 ? SCRY_E_UNSUPPORTED :
				     vm->driver->event_wait(vm, events, max, timeout_ms);
}

int scry_event_times(struct scry_vm *vm, int on)
{
	int ret = need_events(vm);

	if (!ret)
		vm->driver->event_times(vm, on);
	return ret;
}

int scry_event_fd(struct scry_vm *vm)
{
	return need_events(vm) < 0 ? SCRY_E_UNSUPPORTED : vm->driver->event_fd(vm);
}

/* Does it take the place of the one of a software or hardware interrupt? */
static bool is_other_vector(const struct scry_event *event, uint32_t vector)
{
	return event->kind == SCRY_EVENT_INTERRUPT && vector >= 32 && vector < 256 &&
	       (event->interrupt.type == SCRY_INTERRUPT_SOFTWARE ||
		event->interrupt.type == SCRY_INTERRUPT_HARDWARE);
}

static int check_flags(const struct scry_vm *vm, const struct scry_reply *reply)
{
	if (reply->flags != SCRY_REPLY_VIEW && reply->flags != SCRY_REPLY_STEP)
		return scry_fail(SCRY_E_INVAL, "a reply's flags are SCRY_REPLY_VIEW or "
				 "SCRY_REPLY_STEP, not 0x%x", reply->flags);
	if (reply->flags == SCRY_REPLY_STEP && reply->action != SCRY_CONTINUE)
		return scry_fail(SCRY_E_INVAL, "SCRY_REPLY_STEP goes with SCRY_CONTINUE only");
	if (reply->view >= SCRY_VIEWS)
		return scry_fail(SCRY_E_INVAL, "there is no view %u", reply->view);
	return scry_need(vm, SCRY_CAP_VIEWS);
}

int scry_reply(struct scry_vm *vm, const struct scry_event *event, const struct scry_reply *reply)
{
	int ret;

	if (!event || !reply)
		return scry_fail(SCRY_E_INVAL, "scry_reply() needs the event and the reply to it");
	ret = need_events(vm);
	if (!ret)
		ret = scry_check_vcpu(vm, event->vcpu);
	if (ret < 0)
		return ret;
	if (reply->sz != sizeof(*reply))
		return scry_fail(SCRY_E_INVAL, "scry_reply.sz must be sizeof(struct scry_reply)");
	if ((unsigned)reply->action > SCRY_INJECT)
		return scry_fail(SCRY_E_INVAL, "there is no reply action %d", (int)reply->action);
	if (reply->action == SCRY_INJECT && !scry_is_exception(reply->exception.vector) &&
	    !is_other_vector(event, reply->exception.vector))
		return scry_fail(SCRY_E_INVAL, "there is no exception %u to inject: vectors are 0 "
				 "to 31, and 2 is the NMI", reply->exception.vector);
	if (reply->flags) {
		ret = check_flags(vm, reply);
		if (ret < 0)
			return ret;
	}
	if (reply->set & ~SCRY_REGS_ALL || (reply->set && !reply->regs))
		return scry_fail(SCRY_E_INVAL, "the reply names registers without their values");
	return vm->driver->reply(vm, event, reply);
}

int scry_reply_action(struct scry_vm *vm, const struct scry_event *event, enum scry_action action)
{
	const struct scry_reply reply = { .sz = sizeof(reply), .action = action };

	return scry_reply(vm, event, &reply);
}

/* Send the answer; one that is refused must not leave the vCPU waiting for ever. */
static int answer(struct scry_vm *vm, const struct scry_event *event,
		  const struct scry_reply *reply)
{
	int ret = scry_reply(vm, event, reply);

	if (ret == SCRY_E_REFUSED || ret == SCRY_E_INVAL || ret == SCRY_E_UNSUPPORTED)
		scry_reply_action(vm, event, SCRY_CONTINUE);
	return ret;
}

/* What one round of the loop takes at most: one event for each of many vCPUs. */
#define LOOP_BATCH 16

int scry_event_loop(struct scry_vm *vm, scry_event_fn fn, void *opaque)
{
	struct scry_event events[LOOP_BATCH];
	int stop = 0;

	while (!stop) {
		int n = scry_event_wait(vm, events, LOOP_BATCH, -1);

		if (n < 0)
			return n;
		for (int i = 0; i < n; i++) {
			struct scry_reply reply = { .sz = sizeof(reply) };
			int said = stop ? 0 : fn(vm, &events[i], &reply, opaque);
			int ret = answer(vm, &events[i], &reply);

			if (said)
				stop = said;
			else if (ret < 0 && !stop)
				stop = ret;
		}
	}
	return stop;
}
