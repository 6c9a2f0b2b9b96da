/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "../../match.h"
#include "kvmi.h"

/*
 * The kernel is told, per vCPU, which events it is to send; finer filters are
 * evaluated here.
 */

static const int kvmi_kind[SCRY_EVENT_COUNT] = {
	[SCRY_EVENT_CR_WRITE] = KVMI_EVENT_CR,
	[SCRY_EVENT_MSR_WRITE] = KVMI_EVENT_MSR,
	[SCRY_EVENT_XSETBV] = KVMI_EVENT_XSETBV,
	[SCRY_EVENT_INT3] = KVMI_EVENT_BREAKPOINT,
	[SCRY_EVENT_DESCRIPTOR] = KVMI_EVENT_DESCRIPTOR,
	[SCRY_EVENT_HYPERCALL] = KVMI_EVENT_HYPERCALL,
	[SCRY_EVENT_CPUID] = KVMI_EVENT_CPUID,
	[SCRY_EVENT_MEMORY] = KVMI_EVENT_PF,
	[SCRY_EVENT_STEP] = KVMI_EVENT_SINGLESTEP,
};

/* An MSR's bit, or -1 if KVMI cannot watch it. */
static int msr_bit(uint32_t msr)
{
	if (msr < KVMI_MSR_RANGE)
		return (int)msr;
	if (msr - KVMI_MSR_HIGH < KVMI_MSR_RANGE)
		return (int)(KVMI_MSR_RANGE + (msr - KVMI_MSR_HIGH));
	return -1;
}

static uint32_t msr_of(unsigned bit)
{
	return bit < KVMI_MSR_RANGE ? bit : KVMI_MSR_HIGH + (bit - KVMI_MSR_RANGE);
}

static void want_msrs(const struct scry_subscription *sub, struct kvmi_armed *want)
{
	if (!sub->msr.count)
		memset(want->msrs, 0xff, sizeof(want->msrs));
	for (uint32_t i = 0; i < sub->msr.count; i++) {
		int bit = msr_bit(sub->msr.index[i]);

		if (bit >= 0)
			want->msrs[bit / 64] |= UINT64_C(1) << bit % 64;
	}
}

static void want_sub(const struct scry_subscription *sub, unsigned vcpu, struct kvmi_armed *want)
{
	if (sub->vcpus && !(sub->vcpus >> vcpu & 1))
		return;
	want->events |= 1u << kvmi_kind[sub->kind];
	if (sub->kind == SCRY_EVENT_CR_WRITE)
		want->crs |= 1u << sub->cr.cr;
	else if (sub->kind == SCRY_EVENT_MSR_WRITE)
		want_msrs(sub, want);
	else if (sub->kind == SCRY_EVENT_STEP)
		want->step = true;
}

/* All that the subscriptions and breakpoints want of a vCPU. */
static void want_all(struct kvmi_vm *k, unsigned vcpu, struct kvmi_armed *want)
{
	memset(want, 0, sizeof(*want));
	for (int i = 0; i < KVMI_SUBS; i++)
		if (k->subs[i].number)
			want_sub(&k->subs[i].sub, vcpu, want);
	if (k->break_count)
		want->events |= 1u << KVMI_EVENT_PF;
	/* Steps that are ours: over a breakpoint, or in another view. */
	if (k->has_step && (k->break_count || k->view[1].exists || k->view[2].exists))
		want->events |= 1u << KVMI_EVENT_SINGLESTEP;
}

/* Calls that lead from what is switched on to what is wanted. */
struct changes {
	struct kvmi_call *call;
	size_t count, room;
};

/* True where v12 has the event always, and v7 wants it asked for. */
static bool is_always_on(struct kvmi_vm *k, int event)
{
	return event == KVMI_EVENT_SINGLESTEP && k->generation == KVMI_V12;
}

static int add(struct changes *c, struct kvmi_call call)
{
	if (c->count == c->room) {
		size_t room = c->room ? c->room * 2 : 64;
		struct kvmi_call *more = realloc(c->call, room * sizeof(*more));

		if (!more)
			return scry_fail(SCRY_E_NOMEM, "out of memory for a subscription");
		c->call = more;
		c->room = room;
	}
	c->call[c->count++] = call;
	return 0;
}

static int add_events(struct kvmi_vm *k, unsigned vcpu, const struct kvmi_armed *want, bool on,
		      struct changes *c)
{
	uint32_t change = k->vcpu[vcpu].armed.events ^ want->events;
	int ret = 0;

	for (int i = 0; !ret && i < KVMI_EVENT_COUNT; i++)
		if (change >> i & 1 && (want->events >> i & 1) == on && !is_always_on(k, i))
			ret = add(c, kvmi_events_call(k->generation, i, (int)vcpu, on));
	return ret;
}

static int add_registers(struct kvmi_vm *k, unsigned vcpu, const struct kvmi_armed *want,
			 struct changes *c)
{
	const struct kvmi_armed *armed = &k->vcpu[vcpu].armed;
	int ret = 0;

	for (unsigned cr = 0; !ret && cr < 5; cr++)
		if ((armed->crs ^ want->crs) >> cr & 1)
			ret = add(c, kvmi_cr_call(k->generation, vcpu, cr, want->crs >> cr & 1));
	for (unsigned i = 0; !ret && i < KVMI_MSR_WORDS; i++)
		for (uint64_t left = armed->msrs[i] ^ want->msrs[i]; !ret && left;
		     left &= left - 1) {
			unsigned bit = (unsigned)__builtin_ctzll(left);

			ret = add(c, kvmi_msr_call(vcpu, msr_of(i * 64 + bit),
						   want->msrs[i] >> bit & 1));
		}
	if (!ret && armed->step != want->step)
		ret = add(c, kvmi_step_call(vcpu, want->step));
	return ret;
}

/* Where all MSRs are meant, those that QEMU or KVM keeps back are not told. */
static int check_changes(struct kvmi_vm *k, const struct changes *c)
{
	bool all = c->count >= KVMI_MSR_RANGE;

	for (size_t i = 0; i < c->count; i++)
		if (c->call[i].err && !(all && c->call[i].command == KVMI_CONTROL_MSR))
			return kvmi_refused(k, &c->call[i]);
	return 0;
}

/* The events first switched on, and last off, so that none is missed between. */
static int arm_vcpu(struct kvmi_vm *k, unsigned vcpu)
{
	struct changes c = { 0 };
	struct kvmi_armed want;
	int ret;

	want_all(k, vcpu, &want);
	ret = add_events(k, vcpu, &want, true, &c);
	if (!ret)
		ret = add_registers(k, vcpu, &want, &c);
	if (!ret)
		ret = add_events(k, vcpu, &want, false, &c);
	if (!ret)
		ret = kvmi_calls_locked(k, c.call, c.count);
	if (!ret)
		ret = check_changes(k, &c);
	free(c.call);
	if (!ret)
		k->vcpu[vcpu].armed = want;
	return ret;
}

int kvmi_arm_locked(struct kvmi_vm *k)
{
	int ret = 0;

	for (unsigned i = 0; !ret && i < k->vm->vcpus; i++)
		ret = arm_vcpu(k, i);
	return ret;
}

void kvmi_arm_new_locked(struct kvmi_vm *k, unsigned vcpu)
{
	struct changes c = { 0 };
	struct kvmi_armed want;

	want_all(k, vcpu, &want);
	memset(&k->vcpu[vcpu].armed, 0, sizeof(k->vcpu[vcpu].armed));
	/* Of all MSRs there are too many to ask for in passing: it is armed with the next. */
	memset(want.msrs, 0, sizeof(want.msrs));
	if (!add_events(k, vcpu, &want, true, &c) && !add_registers(k, vcpu, &want, &c)) {
		for (size_t i = 0; i < c.count; i++)
			kvmi_post_locked(k, &c.call[i], -1);
		k->vcpu[vcpu].armed = want;
	}
	free(c.call);
}

static int check(const struct scry_subscription *sub)
{
	if (sub->kind == SCRY_EVENT_CR_WRITE && sub->cr.cr != 0 && sub->cr.cr != 3 &&
	    sub->cr.cr != 4)
		return scry_fail(SCRY_E_UNSUPPORTED, "KVMI tells of CR0, CR3 and CR4, not of CR%u",
				 sub->cr.cr);
	if (sub->kind != SCRY_EVENT_MSR_WRITE)
		return 0;
	for (uint32_t i = 0; i < sub->msr.count; i++)
		if (msr_bit(sub->msr.index[i]) < 0)
			return scry_fail(SCRY_E_UNSUPPORTED, "KVMI tells of MSRs 0 to 0x1fff and "
					 "0xc0000000 to 0xc0001fff, not of 0x%x",
					 sub->msr.index[i]);
	return 0;
}

static struct kvmi_sub *find(struct kvmi_vm *k, int number)
{
	for (int i = 0; i < KVMI_SUBS; i++)
		if (k->subs[i].number == number)
			return &k->subs[i];
	return NULL;
}

static int subscribe_locked(struct kvmi_vm *k, const struct scry_subscription *sub)
{
	struct kvmi_sub *s = find(k, 0);
	int number, ret;

	if (!s)
		return scry_fail(SCRY_E_NOMEM, "there are %d subscriptions already", KVMI_SUBS);
	number = ++k->next_number;
	*s = (struct kvmi_sub){ number, *sub };
	ret = kvmi_arm_locked(k);
	if (!ret)
		return number;
	s->number = 0;
	if (!k->ended) {
		/* The first failure's sentence is what counts. */
		char why[256];

		strncpy(why, scry_errmsg(), sizeof(why) - 1);
		why[sizeof(why) - 1] = 0;
		kvmi_arm_locked(k);
		ret = scry_fail(ret, "%s", why);
	}
	return ret;
}

int kvmi_subscribe(struct scry_vm *vm, const struct scry_subscription *sub)
{
	struct kvmi_vm *k = kvmi_of(vm);
	int ret = check(sub);

	if (ret < 0)
		return ret;
	pthread_mutex_lock(&k->lock);
	ret = subscribe_locked(k, sub);
	pthread_mutex_unlock(&k->lock);
	return ret;
}

int kvmi_unsubscribe(struct scry_vm *vm, int subscription)
{
	struct kvmi_vm *k = kvmi_of(vm);
	struct kvmi_sub *s;
	int ret;

	pthread_mutex_lock(&k->lock);
	s = find(k, subscription);
	if (s) {
		s->number = 0;
		ret = kvmi_arm_locked(k);
	} else {
		ret = scry_fail(SCRY_E_NOTFOUND, "there is no subscription %d", subscription);
	}
	pthread_mutex_unlock(&k->lock);
	return ret;
}

bool kvmi_wanted_locked(struct kvmi_vm *k, const struct scry_event *event)
{
	uint64_t steps = k->vcpu[event->vcpu].steps;

	/* What only a breakpoint traps is no event. */
	if (event->kind == SCRY_EVENT_MEMORY &&
	    !(kvmi_traps_locked(k, event->view, event->memory.gpa >> 12) & event->memory.access))
		return false;
	for (int i = 0; i < KVMI_SUBS; i++) {
		const struct scry_subscription *s = &k->subs[i].sub;

		if (!k->subs[i].number || !scry_matches(s, event))
			continue;
		if (event->kind != SCRY_EVENT_STEP || !s->step.count || !(steps % s->step.count))
			return true;
	}
	return false;
}
