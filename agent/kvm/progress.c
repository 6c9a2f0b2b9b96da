/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/event/arm.h"
#include "agent/event/breakpoint.h"
#include "kvm.h"

static bool is_at(const struct progress *p, const struct kvm_regs *r)
{
	return p->rip == r->rip && p->rsp == r->rsp && p->rcx == r->rcx;
}

void progress_told(struct kvcpu *k, enum scry_event_kind kind)
{
	struct progress *p = &k->progress;
	struct kvm_regs r = { 0 };

	kvm_ioctl(k->fd, KVM_GET_REGS, &r);
	if (!is_at(p, &r)) {
		p->told = 0;
		p->accesses = 0;
		p->rip = r.rip;
		p->rsp = r.rsp;
		p->rcx = r.rcx;
	}
	p->told |= 1u << kind;
	progress_forget(k);	/* the client may have changed its mind in the event */
}

bool progress_passes(struct kvcpu *k, enum scry_event_kind kind)
{
	struct kvm_regs r;

	return k->progress.told >> kind & 1 && kvm_ioctl(k->fd, KVM_GET_REGS, &r) == 0 &&
	       is_at(&k->progress, &r);
}

void progress_over(struct kvcpu *k)
{
	k->progress = (struct progress){ 0 };
}

void progress_forget(struct kvcpu *k)
{
	uint32_t kinds = arm_filters() ? arm_filters()->kinds : 0;

	if (breakpoint_any())
		kinds |= 1u << SCRY_EVENT_BREAKPOINT;
	k->progress.told &= kinds;
	if (!(kinds & 1u << SCRY_EVENT_MEMORY))
		k->progress.accesses = 0;
}
