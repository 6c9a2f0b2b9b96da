/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "../../match.h"
#include "kvmi.h"

/* What callers subscribe to; arm.c has the kernel send it, and finer filters are evaluated here. */

static int check(const struct scry_subscription *sub)
{
	if (sub->kind == SCRY_EVENT_CR_WRITE && sub->cr.cr != 0 && sub->cr.cr != 3 &&
	    sub->cr.cr != 4)
		return scry_fail(SCRY_E_UNSUPPORTED, "KVMI tells of CR0, CR3 and CR4, not of CR%u",
				 sub->cr.cr);
	if (sub->kind != SCRY_EVENT_MSR_WRITE)
		return 0;
	for (uint32_t i = 0; i < sub->msr.count; i++)
		if (kvmi_msr_bit(sub->msr.index[i]) < 0)
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
	/* What did not answer would not now: it is switched off with the next, or as it tells. */
	if (!k->ended && ret != SCRY_E_TIMEOUT) {
		char why[KVMI_WHY];

		kvmi_keep_why(why);
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
