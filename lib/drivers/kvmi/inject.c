/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kvmi.h"

/*
 * The kernel confirms an injection by the event TRAP, when the vCPU goes on: which
 * exception it was in truth (another may have come first), before it is taken.
 */
void kvmi_trapped_locked(struct kvmi_vm *k, unsigned vcpu)
{
	struct kvmi_vcpu_state *v = &k->vcpu[vcpu];

	if (v->traps_due)
		v->traps_due--;
	kvmi_answer_locked(k, vcpu, KVMI_CONTINUE, 0);
}

/* Then v12 injects nothing into it. */
static bool is_stepped(const struct kvmi_vm *k, unsigned vcpu)
{
	const struct kvmi_vcpu_state *v = &k->vcpu[vcpu];

	return k->generation == KVMI_V12 &&
	       (v->armed.step || v->back || v->over.broken_off || k->stepping == (int)vcpu);
}

/* The vCPU stands meanwhile (stopped.h), so that no step is missed. */
static void switch_step(struct kvmi_vm *k, unsigned vcpu, bool on)
{
	const struct kvmi_call call = kvmi_step_call(vcpu, on);

	kvmi_post_locked(k, &call, -1);
}

int kvmi_inject_locked(struct kvmi_vm *k, unsigned vcpu, const struct scry_exception *e)
{
	const struct kvmi_inject request = { .vector = (uint8_t)e->vector,
					     .error_code = e->error_code,
					     .cr2 = e->vector == 14 ? e->cr2 : 0 };
	struct kvmi_call call = kvmi_vcpu_call(KVMI_INJECT_EXCEPTION, vcpu, &request,
					       sizeof(request));
	struct kvmi_vcpu_state *v = &k->vcpu[vcpu];
	bool steps = is_stepped(k, vcpu);
	int ret;

	if (e->vector > 31)
		return scry_fail(SCRY_E_UNSUPPORTED, "KVMI injects exceptions only, not vector %u",
				 e->vector);
	/* Expected first: it may come with the reply. */
	v->traps_due++;
	if (steps)
		switch_step(k, vcpu, false);
	ret = kvmi_call_locked(k, &call);
	if (steps)
		switch_step(k, vcpu, true);
	if (ret < 0 && v->traps_due)
		v->traps_due--;
	else
		pthread_cond_broadcast(&k->keep);
	return ret;
}

int kvmi_inject(struct scry_vm *vm, unsigned vcpu, const struct scry_injection *injection)
{
	struct kvmi_vm *k = kvmi_of(vm);
	int ret;

	if (injection->type != SCRY_INTERRUPT_EXCEPTION)
		return scry_fail(SCRY_E_UNSUPPORTED, "KVMI injects exceptions only, not interrupts");
	pthread_mutex_lock(&k->lock);
	ret = kvmi_inject_locked(k, vcpu, &injection->exception);
	pthread_mutex_unlock(&k->lock);
	return ret;
}
