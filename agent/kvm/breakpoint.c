/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/event/breakpoint.h"
#include "agent/event/arm.h"
#include "hold.h"
#include "kvm.h"
#include "plant.h"
#include "protocol/bits.h"
#include "registers.h"

/*
 * Hidden breakpoints.  Those at four linear addresses lie in the debug registers that
 * the guest does not use itself.  Of any other, or one by physical address, the page
 * is trapped: what else is executed there costs a step each; unless it may be seen, and is
 * of the guest's kernel (plant.h).
 */

#define PAGE      4096u

/* Where each is, by its number. */
static struct place {
	enum { NOWHERE, IN_REGISTER, IN_PAGE, IN_COPY } kind;
	unsigned reg;
	uint64_t gfn;
} places[SCRY_BREAKPOINTS + 1];

/* In its address space, or in the first vCPU's in which it is mapped. */
static bool locate(const struct scry_breakpoint *b, uint64_t *gpa)
{
	bool user;

	*gpa = b->address;
	if (b->flags & SCRY_BREAKPOINT_PHYSICAL)
		return true;
	for (unsigned i = 0; i < kvm.vcpus; i++)
		if (b->flags & SCRY_BREAKPOINT_CR3 ?
		    kvm_walk(&kvm.vcpu[i], b->cr3, b->address, gpa, &user) :
		    kvm_physical(&kvm.vcpu[i], b->address, gpa))
			return true;
	return false;
}

/* An instruction of the kernel's, in 64-bit code, that is long enough? */
static bool can_be_planted(const struct scry_breakpoint *b, uint64_t gpa)
{
	uint8_t bytes[KVM_CODE];
	unsigned len = PAGE - (unsigned)(gpa % PAGE);
	struct kvm_sregs s;
	uint64_t at;
	bool user;

	if (len > KVM_CODE)
		len = KVM_CODE;
	if (!(b->flags & SCRY_BREAKPOINT_VISIBLE) || b->flags & SCRY_BREAKPOINT_PHYSICAL ||
	    qemu.address_space_rw(qemu.address_space_memory, gpa, 0, bytes, len, false) ||
	    kvm_length_64(bytes, len) < PLANT_LEN)
		return false;
	for (unsigned i = 0; i < kvm.vcpus; i++)
		if (kvm_ioctl(kvm.vcpu[i].fd, KVM_GET_SREGS, &s) == 0 && s.efer & EFER_LMA &&
		    kvm_walk(&kvm.vcpu[i], b->flags & SCRY_BREAKPOINT_CR3 ? b->cr3 : s.cr3,
			     b->address, &at, &user) && at == gpa)
			return !user;
	return false;
}

static const char *plant_in_page(int n, const struct scry_breakpoint *b)
{
	const char *why;
	uint64_t gpa;

	if (!locate(b, &gpa))
		return "the debug registers are taken, and nothing is mapped at this address now: "
		       "plant it when something is";
	if (can_be_planted(b, gpa) && plant_put(n, gpa)) {
		places[n] = (struct place){ .kind = IN_COPY };
		return NULL;
	}
	why = hold(gpa / PAGE);
	if (!why)
		places[n] = (struct place){ .kind = IN_PAGE, .gfn = gpa / PAGE };
	return why;
}

const char *kvm_breakpoint_plant(int n, const struct scry_breakpoint *b)
{
	const char *why = kvm_debug_lacks();
	unsigned reg = KVM_REGISTERS;

	if (why)
		return why;
	if (!(b->flags & SCRY_BREAKPOINT_PHYSICAL))
		reg = registers_take(b->address, DR7_EXECUTES);
	if (reg == KVM_REGISTERS)
		return plant_in_page(n, b);
	places[n] = (struct place){ .kind = IN_REGISTER, .reg = reg };
	return NULL;
}

/* Those of this register go by page. */
static bool leave_register(unsigned reg)
{
	bool left = false;

	for (int n = 1; n <= SCRY_BREAKPOINTS; n++) {
		if (places[n].kind != IN_REGISTER || places[n].reg != reg)
			continue;
		if (plant_in_page(n, breakpoint_get(n)))
			return false;
		registers_give(reg);
		left = true;
	}
	return left;
}

bool kvm_breakpoint_gives_way(void)
{
	for (unsigned reg = 0; reg < KVM_REGISTERS; reg++)
		if (leave_register(reg))
			return true;
	return false;
}

void kvm_breakpoint_lift(int n)
{
	const struct place *p = &places[n];

	if (p->kind == IN_REGISTER)
		registers_give(p->reg);
	else if (p->kind == IN_PAGE)
		hold_end(p->gfn);
	else if (p->kind == IN_COPY)
		plant_drop(n);
	places[n] = (struct place){ 0 };
}

/* RF in its flags has the processor catch it in front of this instruction no more. */
bool kvm_breakpoint_passes(struct kvcpu *k)
{
	struct kvm_regs regs;

	kvm_ioctl(k->fd, KVM_GET_REGS, &regs);
	return regs.rflags & RFLAGS_RF;
}

void kvm_breakpoint_pass(struct kvcpu *k, bool passes)
{
	struct kvm_regs regs;

	kvm_ioctl(k->fd, KVM_GET_REGS, &regs);
	regs.rflags = passes ? regs.rflags | RFLAGS_RF : regs.rflags & ~(uint64_t)RFLAGS_RF;
	kvm_ioctl(k->fd, KVM_SET_REGS, &regs);
}

static bool ask(struct vcpu *vcpu, struct kvcpu *k, int n)
{
	struct scry_event event;
	struct kvm_insn insn;

	kvm_describe(vcpu, &event);
	event.kind = SCRY_EVENT_BREAKPOINT;
	event.breakpoint.number = (uint32_t)n;
	kvm_insn(k, &insn);
	event.insn_len = insn.len;
	k->next_rip = event.rip + insn.len;
	if (kvm_ask(vcpu, k, &event))
		return true;
	if (progress_passes(k, SCRY_EVENT_BREAKPOINT))
		kvm_breakpoint_pass(k, true);
	return false;
}

static int at_rip(struct vcpu *vcpu, struct kvcpu *k)
{
	struct kvm_sregs s;
	struct kvm_regs r;
	uint64_t address;

	if (!breakpoint_any())
		return 0;
	kvm_ioctl(k->fd, KVM_GET_REGS, &r);
	kvm_ioctl(k->fd, KVM_GET_SREGS, &s);
	address = kvm_code_address(&s, &r);
	return breakpoint_possible(address) ? breakpoint_find(vcpu, address, s.cr3) : 0;
}

bool kvm_breakpoint(struct vcpu *vcpu, struct kvcpu *k)
{
	int n = at_rip(vcpu, k);

	return !n || ask(vcpu, k, n);
}

/* One in a debug register has been met before the page was. */
bool kvm_breakpoint_in_page(struct vcpu *vcpu, struct kvcpu *k)
{
	int n = at_rip(vcpu, k);

	return !n || places[n].kind == IN_REGISTER ||
	       progress_passes(k, SCRY_EVENT_BREAKPOINT) || ask(vcpu, k, n);
}

/* The debug registers are a step's, so that nothing but this look finds one at rip. */
bool kvm_breakpoint_look(struct vcpu *vcpu, struct kvcpu *k)
{
	k->progress.looks = false;
	if (!breakpoint_any() || k->progress.raises || kvm_breakpoint_passes(k))
		return true;
	if (!kvm_breakpoint(vcpu, k)) {
		k->progress.looks = true;
		return false;
	}
	kvm_breakpoint_pass(k, true);
	return true;
}
