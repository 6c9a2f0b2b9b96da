/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/event/watchpoint.h"
#include "kvm.h"
#include "registers.h"

/*
 * Watchpoints lie in debug registers, one each.  While a vCPU steps these are the step's:
 * then the instruction says what it is about to access.
 */

static unsigned register_of[SCRY_WATCHPOINTS + 1];	/* by its number */

const char *kvm_watchpoint_plant(int n, const struct scry_watchpoint *w)
{
	uint8_t what = (uint8_t)((w->access & SCRY_READ ? DR7_ACCESSES : DR7_WRITES) |
				 DR7_LEN(w->size));
	const char *why = kvm_debug_lacks();
	unsigned reg;

	if (why)
		return why;
	reg = registers_take(w->address, what);
	if (reg == KVM_REGISTERS && kvm_breakpoint_gives_way())
		reg = registers_take(w->address, what);
	if (reg == KVM_REGISTERS)
		return "the four debug registers are taken, by the guest itself, by watchpoints, or by "
		       "breakpoints that cannot be elsewhere: remove some first";
	register_of[n] = reg;
	return NULL;
}

void kvm_watchpoint_lift(int n)
{
	registers_give(register_of[n]);
}

static uint64_t root_of(struct kvcpu *k)
{
	struct kvm_sregs s = { 0 };

	kvm_ioctl(k->fd, KVM_GET_SREGS, &s);
	return s.cr3;
}

/* True: nothing else comes of it, as the client injects something, or QEMU has put it elsewhere. */
static bool tell(struct vcpu *vcpu, struct kvcpu *k, int n)
{
	struct scry_event event;

	kvm_describe(vcpu, &event);
	watchpoint_describe(n, &event);
	if (!vcpu_ask(vcpu, &event))
		return true;
	if (vcpu->action != SCRY_INJECT)
		return false;
	kvm_raise(vcpu, k);
	return true;
}

static bool tell_all(struct vcpu *vcpu, struct kvcpu *k, uint8_t set)
{
	bool done = false;

	for (; set && !done; set &= (uint8_t)(set - 1))
		done = tell(vcpu, k, __builtin_ctz(set) + 1);
	return done;
}

bool kvm_watchpoint_hit(struct vcpu *vcpu, struct kvcpu *k, uint64_t dr6)
{
	uint8_t set = 0;

	for (int n = 1; n <= SCRY_WATCHPOINTS; n++)
		if (dr6 >> register_of[n] & 1)
			set |= (uint8_t)(1u << (n - 1));
	progress_over(k);
	return tell_all(vcpu, k, watchpoint_wanted(vcpu, root_of(k), set));
}

void kvm_watchpoint_foresee(struct vcpu *vcpu, struct kvcpu *k)
{
	struct insn_access access[INSN_ACCESSES];
	unsigned count;

	k->step.hits = 0;
	if (!watchpoint_any() || !k->insn.known)
		return;
	count = insn_accesses(&k->insn, access);
	for (unsigned i = 0; i < count; i++)
		k->step.hits |= watchpoint_find(vcpu, k->insn.system.cr3, access[i].gva,
						access[i].size, access[i].access);
}

bool kvm_watchpoint_stepped(struct vcpu *vcpu, struct kvcpu *k)
{
	uint8_t set = k->step.hits;

	k->step.hits = 0;
	return set && tell_all(vcpu, k, watchpoint_wanted(vcpu, root_of(k), set));
}
