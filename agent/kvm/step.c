/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/event/arm.h"
#include "agent/event/exception.h"
#include "kvm.h"
#include "protocol/bits.h"

/*
 * KVM steps by TF, and says nothing of an exception that the instruction raises
 * instead: its handler would run on, and the guest find TF in the flags that the
 * processor has saved.  So a breakpoint lies on the handlers of what is likely, and
 * on where the instruction itself says that it goes.
 */

#define GATE_P    0x80u
#define RFLAGS_TF 0x100u
#define MSR_LSTAR 0xc0000082u

#define OPCODE_INT3    0xcc
#define OPCODE_INT     0xcd
#define OPCODE_SYSCALL 0x0f05
#define OPCODE_SYSRET  0x0f07	/* behind REX.W maybe, both */
#define OPCODE_SYSEXIT 0x0f35
#define OPCODE_PUSHF   0x9c

#define VECTOR_UD 6
#define VECTOR_NM 7

static const uint8_t likely[KVM_HANDLERS] = { EXCEPTION_PF, EXCEPTION_GP, VECTOR_UD, VECTOR_NM };

/* The handler of a vector, in long mode; 0 = none. */
static uint64_t handler_of(struct kvcpu *k, const struct kvm_sregs *s, unsigned vector)
{
	uint16_t low, middle;
	uint8_t gate[16];
	uint32_t high;

	if (!(s->efer & EFER_LMA) || vector * 16u + 15 > s->idt.limit ||
	    !kvm_virtual(k, s->idt.base + vector * 16u, gate, sizeof(gate), false) ||
	    !(gate[5] & GATE_P))
		return 0;
	memcpy(&low, gate, 2);
	memcpy(&middle, gate + 6, 2);
	memcpy(&high, gate + 8, 4);
	return (uint64_t)high << 32 | (uint32_t)middle << 16 | low;
}

static void catch(struct kvcpu *k, const struct kvm_sregs *s, unsigned n, unsigned vector)
{
	k->caught[n] = (uint8_t)vector;
	k->handlers[n] = handler_of(k, s, vector);
}

/*
 * To user space: TF is looked at when the instruction has replaced it, and the step would
 * not end.  Where it goes, or 0.
 */
static uint64_t leaves_to(const uint8_t *code, const struct kvm_regs *r, uint16_t *opcode)
{
	const uint8_t *behind = (code[0] & 0xf0) == 0x40 ? code + 1 : code;
	uint16_t both = (uint16_t)(behind[0] << 8 | behind[1]);

	if (both != OPCODE_SYSRET && both != OPCODE_SYSEXIT)
		return 0;
	*opcode = both;
	return both == OPCODE_SYSRET ? r->rcx : r->rdx;
}

/* The last one is for where this instruction goes by itself. */
static void catch_own(struct vcpu *vcpu, struct kvcpu *k, const struct kvm_sregs *s,
		      const struct kvm_regs *r, const uint8_t *code)
{
	bool own = k->opcode == OPCODE_SYSCALL || k->opcode == OPCODE_SYSRET ||
		   k->opcode == OPCODE_SYSEXIT;
	unsigned last = KVM_HANDLERS - 1;
	uint64_t user = leaves_to(code, r, &k->opcode);

	if (user) {
		k->handlers[last] = user;
		return;
	}
	k->opcode = code[0];
	if (k->raises) {
		catch(k, s, last, k->raised);
		k->opcode = 0;
	} else if (code[0] == OPCODE_INT3) {
		catch(k, s, last, VECTOR_BP);
	} else if (code[0] == OPCODE_INT) {
		catch(k, s, last, code[1]);
	} else if ((code[0] << 8 | code[1]) == OPCODE_SYSCALL) {
		k->opcode = OPCODE_SYSCALL;
		if (kvm_msr_read(vcpu, MSR_LSTAR, &k->handlers[last]) < 0)
			k->handlers[last] = 0;
	} else if (k->caught[last] != likely[last] || own) {
		catch(k, s, last, likely[last]);
	}
}

static void find_handlers(struct kvcpu *k, const struct kvm_sregs *s)
{
	if (k->idt == s->idt.base)
		return;
	k->idt = s->idt.base;
	for (unsigned i = 0; i < KVM_HANDLERS; i++)
		catch(k, s, i, likely[i]);
}

/* TF is set anew for each step: the instruction before may have cleared it. */
void kvm_step_prepare(struct vcpu *vcpu, struct kvcpu *k)
{
	struct kvm_guest_debug debug = k->debug;
	uint8_t code[KVM_CODE] = { 0 };
	struct kvm_sregs s;
	struct kvm_regs r;

	kvm_ioctl(k->fd, KVM_GET_SREGS, &s);
	kvm_ioctl(k->fd, KVM_GET_REGS, &r);
	find_handlers(k, &s);
	if (s.efer & EFER_LMA && kvm_code(k, kvm_code_address(&s, &r), code) >= 2)
		catch_own(vcpu, k, &s, &r, code);
	debug.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_BLOCKIRQ |
			 KVM_GUESTDBG_USE_HW_BP;
	debug.arch.debugreg[7] = DR7_USED;
	for (unsigned i = 0; i < KVM_HANDLERS; i++) {
		debug.arch.debugreg[i] = k->handlers[i];
		if (k->handlers[i])
			debug.arch.debugreg[7] |= 2u << 2 * i;
	}
	kvm_debug_set(k, &debug);
	k->stepping = true;
	k->raises = false;
}

/* One of its own, by DR0 to DR3, at rip?  They are not in force while it steps. */
static uint64_t guests_breakpoints(struct kvcpu *k, const struct kvm_regs *r)
{
	struct kvm_debugregs d;
	uint64_t hit = 0;

	if (r->rflags & RFLAGS_RF)
		return 0;
	kvm_ioctl(k->fd, KVM_GET_DEBUGREGS, &d);
	for (unsigned i = 0; i < 4; i++)
		if (d.dr7 >> 2 * i & 3 && !(d.dr7 >> (16 + 4 * i) & 15) && d.db[i] == r->rip)
			hit |= UINT64_C(1) << i;
	return hit;
}

/* The flags that PUSHF has saved have the step's TF in them. */
static void clean_word(struct kvcpu *k, uint64_t at)
{
	uint16_t flags;

	if (!kvm_virtual(k, at, &flags, sizeof(flags), false))
		return;
	flags &= (uint16_t)~RFLAGS_TF;
	kvm_virtual(k, at, &flags, sizeof(flags), true);
}

static enum kvm_outcome tell(struct vcpu *vcpu, struct kvcpu *k)
{
	struct scry_event event;
	struct kvm_regs regs;
	uint64_t own;

	kvm_ioctl(k->fd, KVM_GET_REGS, &regs);
	if (filter_match_step(arm_filters(), vcpu->index, ++vcpu->stepped, regs.rip)) {
		kvm_describe(vcpu, &event);
		event.kind = SCRY_EVENT_STEP;
		if (vcpu_ask(vcpu, &event) && vcpu->action == SCRY_INJECT) {
			kvm_raise(vcpu, k);
			return KVM_AGAIN;
		}
	}
	kvm_ioctl(k->fd, KVM_GET_REGS, &regs);
	own = guests_breakpoints(k, &regs);
	if (own)
		kvm_guests_debug(k, own);
	return KVM_AGAIN;
}

static void end_of_instruction(struct kvcpu *k)
{
	struct kvm_regs regs;

	if (k->opcode != OPCODE_PUSHF)
		return;
	kvm_ioctl(k->fd, KVM_GET_REGS, &regs);
	clean_word(k, regs.rsp);
}

/* The handler's first instruction comes next: with RF, not to be caught there again. */
static void at_handler(struct kvcpu *k, unsigned n)
{
	struct kvm_regs regs;

	kvm_ioctl(k->fd, KVM_GET_REGS, &regs);
	if (n == KVM_HANDLERS - 1 && k->opcode == OPCODE_SYSCALL)
		regs.r11 &= ~(uint64_t)RFLAGS_TF;
	else if (n != KVM_HANDLERS - 1 ||
		 (k->opcode != OPCODE_SYSRET && k->opcode != OPCODE_SYSEXIT))
		clean_word(k, regs.rsp + (exception_with_error(k->caught[n]) ? 24 : 16));
	regs.rflags |= RFLAGS_RF;
	kvm_ioctl(k->fd, KVM_SET_REGS, &regs);
}

void kvm_step_over(struct kvcpu *k)
{
	unsigned hit = (unsigned)k->run->debug.arch.dr6 & DR6_BREAKPOINTS;

	k->looks = k->points;

	if (hit)
		at_handler(k, (unsigned)__builtin_ctz(hit));
	else
		end_of_instruction(k);
}

void kvm_step_end(struct vcpu *vcpu, struct kvcpu *k)
{
	if (vcpu->steps)
		return;
	k->stepping = false;
	kvm_debug_set(k, &k->debug);
}

enum kvm_outcome kvm_stepped(struct vcpu *vcpu, struct kvcpu *k)
{
	kvm_step_over(k);
	return tell(vcpu, k);
}
