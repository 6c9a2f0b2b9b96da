/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <scry/paging.h>

#include "kvmi.h"

/* What is to be done for a reply, in this order. */
struct plan {
	uint64_t set;			/* registers */
	struct scry_regs regs;		/* their values */
	bool inject;
	struct scry_exception exception;
	bool step_over;			/* a breakpoint's instruction */
	enum kvmi_action action;
	uint64_t value;			/* of CR and MSR */
};

static int cannot(const struct scry_event *e, const char *what)
{
	return scry_fail(SCRY_E_UNSUPPORTED, "KVMI cannot %s an event %s", what,
			 scry_event_name(e->kind));
}

/* May the vCPU be sent back to where it was, to begin anew? */
static bool can_retry(const struct kvmi_occurrence *o)
{
	return o->event == KVMI_EVENT_BREAKPOINT || o->event == KVMI_EVENT_DESCRIPTOR ||
	       o->event == KVMI_EVENT_PF;
}

static void set_rip(struct plan *p, uint64_t rip)
{
	p->set |= SCRY_REG_BIT(SCRY_REG_RIP);
	p->regs.rip = rip;
}

/* Go on where the reply's rip says. */
static int plan_jump(const struct kvmi_occurrence *o, const struct scry_event *e, struct plan *p)
{
	if (can_retry(o))
		p->action = KVMI_RETRY;
	else if (o->event != KVMI_EVENT_SINGLESTEP && o->event != KVMI_EVENT_CPUID)
		return cannot(e, "set rip in the reply to");
	return 0;
}

/* Of an instruction that is not known, or whose code is not mapped: then it is continued. */
static bool has_nothing_to_skip(const struct kvmi_occurrence *o, const struct scry_event *e)
{
	return !e->insn_len && (can_retry(o) || o->event == KVMI_EVENT_CPUID);
}

static int plan_skip(const struct kvmi_occurrence *o, const struct scry_event *e, struct plan *p)
{
	switch (o->event) {
	case KVMI_EVENT_CR:
		p->value = o->part.cr.old_value;
		return 0;
	case KVMI_EVENT_MSR:
		p->value = o->part.msr.old_value;
		return 0;
	case KVMI_EVENT_BREAKPOINT:
	case KVMI_EVENT_CPUID:
	case KVMI_EVENT_PF:
	case KVMI_EVENT_DESCRIPTOR:
		set_rip(p, e->rip + e->insn_len);
		return plan_jump(o, e, p);
	case KVMI_EVENT_SINGLESTEP:
		return 0;
	default:
		return cannot(e, "skip the instruction of");
	}
}

static int plan_inject(const struct kvmi_occurrence *o, const struct scry_event *e,
		       const struct scry_reply *reply, struct plan *p)
{
	static const struct scry_exception gp = { .vector = 13 };

	if (!can_retry(o) && o->event != KVMI_EVENT_SINGLESTEP)
		return cannot(e, "raise an exception in place of");
	p->inject = true;
	p->exception = reply->action == SCRY_DENY ? gp : reply->exception;
	if (can_retry(o))
		p->action = KVMI_RETRY;
	return 0;
}

/* Is the instruction to be executed in another view, in which it may be another? */
static bool steps_elsewhere(const struct kvmi_occurrence *o, const struct scry_reply *reply)
{
	return reply->flags == SCRY_REPLY_STEP && can_retry(o);
}

/* Before anything is done. */
static int check_view(struct kvmi_vm *k, const struct kvmi_occurrence *o,
		      const struct scry_event *e, const struct scry_reply *reply)
{
	int ret = reply->flags ? kvmi_check_view_locked(k, reply->view) : 0;

	if (ret < 0)
		return ret;
	if (reply->flags == SCRY_REPLY_STEP && (!can_retry(o) || !k->has_step))
		return cannot(e, "step in another view in the reply to");
	return 0;
}

/* What WRMSR writes with these registers: the kernel has read them already. */
static uint64_t msr_value(const struct kvmi_occurrence *o, const struct scry_reply *reply)
{
	uint64_t low = o->part.msr.new_value, high = low >> 32;

	if (reply->set & SCRY_REG_BIT(SCRY_REG_RAX))
		low = reply->regs->gpr[SCRY_REG_RAX];
	if (reply->set & SCRY_REG_BIT(SCRY_REG_RDX))
		high = reply->regs->gpr[SCRY_REG_RDX];
	return high << 32 | (uint32_t)low;
}

static int make_plan(const struct kvmi_occurrence *o, const struct scry_event *e,
		     const struct scry_reply *reply, struct plan *p)
{
	p->set = reply->set;
	if (reply->set)
		p->regs = *reply->regs;
	p->value = o->event == KVMI_EVENT_CR ? o->part.cr.new_value :
		   o->event == KVMI_EVENT_MSR ? msr_value(o, reply) : 0;
	if (reply->action >= SCRY_DENY)
		return plan_inject(o, e, reply, p);
	if (reply->set & SCRY_REG_BIT(SCRY_REG_RIP))
		return plan_jump(o, e, p);
	if (reply->action == SCRY_SKIP && !has_nothing_to_skip(o, e))
		return plan_skip(o, e, p);
	p->step_over = e->kind == SCRY_EVENT_BREAKPOINT;
	/* In another view the access may be allowed, and what it finds another. */
	if (reply->flags && (o->event == KVMI_EVENT_PF || steps_elsewhere(o, reply)))
		p->action = KVMI_RETRY;
	return 0;
}

static int change_view(struct kvmi_vm *k, unsigned vcpu, const struct scry_reply *reply)
{
	struct kvmi_vcpu_state *v = &k->vcpu[vcpu];
	struct kvmi_call call = kvmi_view_call(vcpu, reply->view);
	unsigned was = v->event.view;
	int ret;

	ret = kvmi_call_locked(k, &call);
	if (!ret && reply->flags == SCRY_REPLY_STEP) {
		call = kvmi_step_call(vcpu, true);
		ret = kvmi_call_locked(k, &call);
		v->back = !ret;
		v->back_view = was;
		v->other_view = reply->view;
		v->back_rip = v->at.arch.gprs.rip;
	} else if (!ret) {
		v->view = reply->view;
	}
	return ret;
}

/* The registers that were set for a reply which failed are those of before. */
static int unset(struct kvmi_vm *k, unsigned vcpu, const struct kvmi_gprs *before, int ret)
{
	char why[KVMI_WHY];

	kvmi_keep_why(why);
	if (!k->ended && k->vcpu[vcpu].waits)
		kvmi_put_gprs_locked(k, vcpu, before);
	return scry_fail(ret, "%s", why);
}

static int change(struct kvmi_vm *k, unsigned vcpu, const struct scry_reply *reply,
		  const struct plan *p)
{
	const struct kvmi_gprs before = kvmi_gprs_next(&k->vcpu[vcpu]);
	int ret = 0;

	if (p->set)
		ret = kvmi_set_gprs_locked(k, vcpu, &p->regs, p->set);
	if (ret < 0)
		return ret;
	if (p->inject)
		ret = kvmi_inject_locked(k, vcpu, &p->exception);
	if (!ret && reply->flags)
		ret = change_view(k, vcpu, reply);
	return ret < 0 && p->set ? unset(k, vcpu, &before, ret) : ret;
}

static int carry_out(struct kvmi_vm *k, unsigned vcpu, const struct scry_reply *reply,
		     const struct plan *p)
{
	int ret = change(k, vcpu, reply, p);

	if (ret < 0)
		return ret;
	if (p->step_over)
		kvmi_step_over_locked(k, vcpu);
	else
		kvmi_go_on_locked(k, vcpu, p->action, p->value);
	return k->ended ? kvmi_ended(k) : 0;
}

/* Of a fetch that was trapped for itself, and that hits a breakpoint too. */
static bool goes_on_to_breakpoint(struct kvmi_vm *k, unsigned vcpu, const struct scry_reply *reply)
{
	struct kvmi_vcpu_state *v = &k->vcpu[vcpu];

	return v->event.kind == SCRY_EVENT_MEMORY && v->event.memory.access & SCRY_EXEC &&
	       reply->action == SCRY_CONTINUE && !reply->set && !reply->flags &&
	       kvmi_break_hit_locked(k, &v->at);
}

static int reply_locked(struct kvmi_vm *k, const struct scry_event *event,
			const struct scry_reply *reply)
{
	struct kvmi_vcpu_state *v = &k->vcpu[event->vcpu];
	struct plan plan = { .action = KVMI_CONTINUE };
	int ret;

	if (k->ended)
		return kvmi_ended(k);
	if (!v->told || v->event.sequence != event->sequence)
		return scry_fail(SCRY_E_STATE, "vCPU %u does not wait for a reply to this event",
				 event->vcpu);
	ret = check_view(k, &v->at, &v->event, reply);
	if (!ret)
		ret = make_plan(&v->at, &v->event, reply, &plan);
	if (ret < 0)
		return ret;
	/* While it is carried out the lock may be let go. */
	v->told = false;
	if (goes_on_to_breakpoint(k, event->vcpu, reply)) {
		kvmi_tell_locked(k, event->vcpu, true);
		return 0;
	}
	ret = carry_out(k, event->vcpu, reply, &plan);
	if (ret < 0 && v->waits)
		v->told = true;
	return ret;
}

/* Of an instruction that is to be skipped, if it was not found out before. */
static void find_length(struct kvmi_vm *k, const struct scry_event *event)
{
	struct kvmi_vcpu_state *v = &k->vcpu[event->vcpu];
	struct scry_as *as = NULL;
	struct kvmi_occurrence o;
	struct scry_event e;

	pthread_mutex_lock(&k->lock);
	o = v->at;
	e = v->event;
	pthread_mutex_unlock(&k->lock);
	kvmi_decode(k, &o, &as, &e);
	scry_as_free(as);
	pthread_mutex_lock(&k->lock);
	if (v->told && v->event.sequence == e.sequence)
		v->event.insn_len = e.insn_len;
	pthread_mutex_unlock(&k->lock);
}

int kvmi_reply(struct scry_vm *vm, const struct scry_event *event, const struct scry_reply *reply)
{
	struct kvmi_vm *k = kvmi_of(vm);
	int ret;

	if (reply->action == SCRY_SKIP)
		find_length(k, event);
	pthread_mutex_lock(&k->lock);
	ret = reply_locked(k, event, reply);
	pthread_mutex_unlock(&k->lock);
	return ret;
}
