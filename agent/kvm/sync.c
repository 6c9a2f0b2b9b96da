/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "agent/event/arm.h"
#include "ram.h"
#include "sync.h"

#define WANTED (KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS)

bool sync_possible(void)
{
	int fields = kvm_ioctl(kvm.fd, KVM_CHECK_EXTENSION, (void *)KVM_CAP_SYNC_REGS);

	return fields >= 0 && (fields & WANTED) == WANTED;
}

/* Nothing armed: a return of KVM_RUN costs what it costs without the agent. */
static bool looked_at(void)
{
	return arm_any() || ram_is_trapped();
}

void sync_enter(struct kvcpu *k)
{
	struct kvm_sregs *s = &k->run->s.regs.sregs;
	bool wanted = kvm.syncs && looked_at();

	atomic_store_explicit(&k->synced, 0, memory_order_relaxed);
	if (wanted)	/* KVM only ever sets bits in there */
		memset(s->interrupt_bitmap, 0, sizeof(s->interrupt_bitmap));
	k->run->kvm_valid_regs = wanted ? WANTED : 0;
}

void sync_left(struct kvcpu *k, int answer)
{
	if (k->run->kvm_valid_regs && (answer >= 0 || errno == EFAULT || errno == EINTR))
		atomic_store(&k->synced, (uint32_t)k->run->kvm_valid_regs);
}

/* What changes no register. */
static bool only_reads(unsigned long request)
{
	switch (request) {
	case KVM_GET_REGS:
	case KVM_GET_SREGS:
	case KVM_GET_MSRS:
	case KVM_GET_XCRS:
	case KVM_GET_DEBUGREGS:
	case KVM_GET_XSAVE:
	case KVM_GET_XSAVE2:
	case KVM_GET_LAPIC:
	case KVM_TRANSLATE:
		return true;
	default:
		return false;
	}
}

void sync_flush(struct kvcpu *k)
{
	struct kvm_regs r;

	if (!k->run->kvm_dirty_regs)
		return;
	r = k->run->s.regs.regs;
	k->run->kvm_dirty_regs = 0;
	kvm_ioctl(k->fd, KVM_SET_REGS, &r);
}

void sync_set_regs(struct kvcpu *k, const struct kvm_regs *r)
{
	struct kvm_regs regs = *r;

	if (atomic_load(&k->synced) & KVM_SYNC_X86_REGS) {
		k->run->s.regs.regs = regs;
		k->run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	} else {
		kvm_ioctl(k->fd, KVM_SET_REGS, &regs);
	}
}

void sync_request(struct kvcpu *k, unsigned long request)
{
	sync_flush(k);
	if (!only_reads(request))
		atomic_store(&k->synced, 0);
}

bool sync_answers(const struct kvcpu *k, unsigned long request, void *argument)
{
	const struct kvm_sync_regs *regs = &k->run->s.regs;
	uint32_t synced = atomic_load(&k->synced);

	if (request == KVM_GET_REGS && synced & KVM_SYNC_X86_REGS)
		*(struct kvm_regs *)argument = regs->regs;
	else if (request == KVM_GET_SREGS && synced & KVM_SYNC_X86_SREGS)
		*(struct kvm_sregs *)argument = regs->sregs;
	else if (request == KVM_GET_VCPU_EVENTS && synced & KVM_SYNC_X86_EVENTS)
		*(struct kvm_vcpu_events *)argument = regs->events;
	else
		return false;
	return true;
}
