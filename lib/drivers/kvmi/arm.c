/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "kvmi.h"

/* The kernel is told, per vCPU, which events it is to send. */

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

int kvmi_msr_bit(uint32_t msr)
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
		int bit = kvmi_msr_bit(sub->msr.index[i]);

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
	/*
	 * Steps that are ours: over a breakpoint, or in another view.  It stays on behind the
	 * last breakpoint: the end of a step that is under way would not be told.
	 */
	if (k->has_step && (k->next_break || k->view[1].exists || k->view[2].exists ||
			    k->vcpu[vcpu].back))
		want->events |= 1u << KVMI_EVENT_SINGLESTEP;
}

/* Calls that lead from what is switched on to what is wanted. */
struct changes {
	struct kvmi_call *call;
	bool *off;			/* of each: it switches something off */
	size_t count, room;
};

/* True where v12 has the event always, and v7 wants it asked for. */
static bool is_always_on(struct kvmi_vm *k, int event)
{
	return event == KVMI_EVENT_SINGLESTEP && k->generation == KVMI_V12;
}

static void drop(struct changes *c)
{
	free(c->call);
	free(c->off);
}

/* Room for one more. */
static int reserve(struct changes *c)
{
	size_t room = c->room ? c->room * 2 : 64;
	struct kvmi_call *call;
	bool *off;

	if (c->count < c->room)
		return 0;
	call = realloc(c->call, room * sizeof(*call));
	c->call = call ? call : c->call;
	off = realloc(c->off, room * sizeof(*off));
	c->off = off ? off : c->off;
	if (!call || !off)
		return scry_fail(SCRY_E_NOMEM, "out of memory for a subscription");
	c->room = room;
	return 0;
}

static int add(struct changes *c, struct kvmi_call call, bool on)
{
	int ret = reserve(c);

	if (ret < 0)
		return ret;
	c->off[c->count] = !on;
	c->call[c->count++] = call;
	return 0;
}

static int add_events(struct kvmi_vm *k, unsigned vcpu, const struct kvmi_armed *want, bool on,
		      struct changes *c)
{
	const struct kvmi_vcpu_state *v = &k->vcpu[vcpu];
	uint32_t change = (v->armed.events ^ want->events) | v->doubt.events;
	int ret = 0;

	for (int i = 0; !ret && i < KVMI_EVENT_COUNT; i++)
		if (change >> i & 1 && (want->events >> i & 1) == on && !is_always_on(k, i))
			ret = add(c, kvmi_events_call(k->generation, i, (int)vcpu, on), on);
	return ret;
}

static int add_registers(struct kvmi_vm *k, unsigned vcpu, const struct kvmi_armed *want,
			 struct changes *c)
{
	const struct kvmi_armed *armed = &k->vcpu[vcpu].armed, *doubt = &k->vcpu[vcpu].doubt;
	int ret = 0;

	for (unsigned cr = 0; !ret && cr < 5; cr++)
		if (((armed->crs ^ want->crs) | doubt->crs) >> cr & 1)
			ret = add(c, kvmi_cr_call(k->generation, vcpu, cr, want->crs >> cr & 1),
				  want->crs >> cr & 1);
	for (unsigned i = 0; !ret && i < KVMI_MSR_WORDS; i++)
		for (uint64_t left = (armed->msrs[i] ^ want->msrs[i]) | doubt->msrs[i];
		     !ret && left; left &= left - 1) {
			unsigned bit = (unsigned)__builtin_ctzll(left);

			ret = add(c, kvmi_msr_call(vcpu, msr_of(i * 64 + bit),
						   want->msrs[i] >> bit & 1),
				  want->msrs[i] >> bit & 1);
		}
	if (!ret && (armed->step != want->step || doubt->step))
		ret = add(c, kvmi_step_call(vcpu, want->step), want->step);
	return ret;
}

/*
 * Where all MSRs are meant, those that QEMU or KVM keeps back are not told.  What may not be
 * switched off is not on.
 */
static int check_changes(struct kvmi_vm *k, const struct changes *c)
{
	bool all = c->count >= KVMI_MSR_RANGE;

	for (size_t i = 0; i < c->count; i++)
		if (c->call[i].err && !c->off[i] && !(all && c->call[i].command == KVMI_CONTROL_MSR))
			return kvmi_refused(k, &c->call[i]);
	return 0;
}

/* A vCPU that has not been started says so, and can be told nothing. */
static bool is_not_started(const struct changes *c)
{
	for (size_t i = 0; i < c->count; i++)
		if (c->call[i].err == KVMI_EAGAIN)
			return true;
	return false;
}

/* Some of the calls from what is armed to this may have been carried out, or be so later. */
static void note_doubt(struct kvmi_vcpu_state *v, const struct kvmi_armed *want)
{
	v->doubt.events |= v->armed.events ^ want->events;
	v->doubt.crs |= v->armed.crs ^ want->crs;
	v->doubt.step |= v->armed.step != want->step;
	for (unsigned i = 0; i < KVMI_MSR_WORDS; i++)
		v->doubt.msrs[i] |= v->armed.msrs[i] ^ want->msrs[i];
}

static void note_armed(struct kvmi_vcpu_state *v, const struct kvmi_armed *want)
{
	v->armed = *want;
	memset(&v->doubt, 0, sizeof(v->doubt));
}

/* The events first switched on, and last off, so that none is missed between. */
static int add_all(struct kvmi_vm *k, unsigned vcpu, const struct kvmi_armed *want,
		   struct changes *c)
{
	int ret = add_events(k, vcpu, want, true, c);

	if (!ret)
		ret = add_registers(k, vcpu, want, c);
	return ret < 0 ? ret : add_events(k, vcpu, want, false, c);
}

/* One that had not been started is asked by the first call whether it is. */
static int send_changes(struct kvmi_vm *k, struct kvmi_vcpu_state *v, struct changes *c)
{
	int ret = v->unarmed && c->count ? kvmi_calls_locked(k, c->call, 1) : 0;

	if (!ret && !(v->unarmed && is_not_started(c)))
		ret = kvmi_calls_locked(k, c->call, c->count);
	v->unarmed = !ret && is_not_started(c);
	return ret < 0 || v->unarmed ? ret : check_changes(k, c);
}

/* One thread at a time: what is armed is known when all is answered only. */
static void wait_for_turn(struct kvmi_vm *k)
{
	while (k->arming && !k->ended)
		kvmi_read_locked(k, UINT64_MAX);
}

static int arm_vcpu(struct kvmi_vm *k, unsigned vcpu)
{
	struct kvmi_vcpu_state *v = &k->vcpu[vcpu];
	struct changes c = { 0 };
	struct kvmi_armed want;
	int ret;

	wait_for_turn(k);
	k->arming = true;
	want_all(k, vcpu, &want);
	ret = add_all(k, vcpu, &want, &c);
	if (!ret)
		ret = send_changes(k, v, &c);
	drop(&c);
	k->arming = false;
	pthread_cond_broadcast(&k->turn);
	if (!ret && !v->unarmed)
		note_armed(v, &want);
	else
		note_doubt(v, &want);
	return ret;
}

void kvmi_arm_started_locked(struct kvmi_vm *k)
{
	for (unsigned i = 0; !k->ended && i < k->vm->vcpus; i++)
		if (k->vcpu[i].unarmed)
			arm_vcpu(k, i);
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
	memset(&k->vcpu[vcpu].doubt, 0, sizeof(k->vcpu[vcpu].doubt));
	/* Of all MSRs there are too many to ask for in passing: it is armed with the next. */
	memset(want.msrs, 0, sizeof(want.msrs));
	if (!add_events(k, vcpu, &want, true, &c) && !add_registers(k, vcpu, &want, &c)) {
		for (size_t i = 0; i < c.count; i++)
			kvmi_post_locked(k, &c.call[i], -1);
		k->vcpu[vcpu].armed = want;
	}
	drop(&c);
}

bool kvmi_wants_step_locked(const struct kvmi_vm *k, unsigned vcpu)
{
	for (int i = 0; i < KVMI_SUBS; i++) {
		const struct scry_subscription *s = &k->subs[i].sub;

		if (k->subs[i].number && s->kind == SCRY_EVENT_STEP &&
		    (!s->vcpus || s->vcpus >> vcpu & 1))
			return true;
	}
	return false;
}
