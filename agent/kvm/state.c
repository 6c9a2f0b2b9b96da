/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/event/exception.h"
#include "agent/vcpu/regs.h"
#include "kvm.h"

#define ATTR_UNUSABLE (1u << 16)
#define WANTS(reg)    (mask & SCRY_REG_BIT(SCRY_REG_##reg))
#define VECTOR_NMI    2
#define VECTOR_OF     4
#define APIC_ISR      0x100u	/* registers of the local APIC: in service, and requested */
#define APIC_IRR      0x200u
#define XSAVE_LEGACY  4096u	/* of KVM_GET_XSAVE and KVM_SET_XSAVE */

static struct scry_seg from_kvm(const struct kvm_segment *s)
{
	return (struct scry_seg){
		.base = s->base, .limit = s->limit, .selector = s->selector,
		.attr = s->type | (uint32_t)s->s << 4 | (uint32_t)s->dpl << 5 |
			(uint32_t)s->present << 7 | (uint32_t)s->avl << 12 |
			(uint32_t)s->l << 13 | (uint32_t)s->db << 14 | (uint32_t)s->g << 15 |
			(s->unusable || !s->present ? ATTR_UNUSABLE : 0),
	};
}

static struct kvm_segment to_kvm(const struct scry_seg *s)
{
	bool unusable = s->attr & ATTR_UNUSABLE;

	return (struct kvm_segment){
		.base = s->base, .limit = s->limit, .selector = s->selector,
		.type = s->attr & 15, .s = s->attr >> 4 & 1, .dpl = s->attr >> 5 & 3,
		.present = unusable ? 0 : s->attr >> 7 & 1, .avl = s->attr >> 12 & 1,
		.l = s->attr >> 13 & 1, .db = s->attr >> 14 & 1, .g = s->attr >> 15 & 1,
		.unusable = unusable,
	};
}

/* X(scry's index of a segment, KVM's name of it) */
#define SEGMENTS(X) X(0, es) X(1, cs) X(2, ss) X(3, ds) X(4, fs) X(5, gs) X(6, ldt) X(7, tr)
/* X(scry's index of a general register, KVM's name of it) */
#define GENERAL(X) X(RAX, rax) X(RCX, rcx) X(RDX, rdx) X(RBX, rbx) X(RSP, rsp) X(RBP, rbp) \
	X(RSI, rsi) X(RDI, rdi) X(R8, r8) X(R9, r9) X(R10, r10) X(R11, r11) X(R12, r12) \
	X(R13, r13) X(R14, r14) X(R15, r15)

void kvm_gprs(const struct kvm_regs *k, uint64_t *gpr)
{
#define GET(NAME, name) gpr[SCRY_REG_##NAME] = k->name;
	GENERAL(GET)
#undef GET
}

void kvm_set_gprs(struct kvm_regs *k, const uint64_t *gpr)
{
#define SET(NAME, name) k->name = gpr[SCRY_REG_##NAME];
	GENERAL(SET)
#undef SET
}

static void system_from(const struct kvm_sregs *s, struct scry_regs *regs)
{
#define GET(index, name) regs->seg[index] = from_kvm(&s->name);
	SEGMENTS(GET)
#undef GET
	regs->gdtr = (struct scry_table){ .base = s->gdt.base, .limit = s->gdt.limit };
	regs->idtr = (struct scry_table){ .base = s->idt.base, .limit = s->idt.limit };
	regs->cr0 = s->cr0;
	regs->cr2 = s->cr2;
	regs->cr3 = s->cr3;
	regs->cr4 = s->cr4;
	regs->cr8 = s->cr8;
	regs->efer = s->efer;
}

uint64_t kvm_xcr0(struct vcpu *vcpu)
{
	struct kvm_xcrs xcrs = { 0 };

	return kvm_ioctl(kvm_of(vcpu)->fd, KVM_GET_XCRS, &xcrs) == 0 && xcrs.nr_xcrs ?
	       xcrs.xcrs[0].value : 1;
}

int kvm_regs_get(struct vcpu *vcpu, struct scry_regs *regs)
{
	int fd = kvm_of(vcpu)->fd;
	struct kvm_debugregs debug = { 0 };
	struct kvm_sregs system = { 0 };
	struct kvm_regs general = { 0 };

	if (kvm_ioctl(fd, KVM_GET_REGS, &general) < 0 ||
	    kvm_ioctl(fd, KVM_GET_SREGS, &system) < 0 ||
	    kvm_ioctl(fd, KVM_GET_DEBUGREGS, &debug) < 0)
		return -1;
	kvm_gprs(&general, regs->gpr);
	regs->rip = general.rip;
	regs->rflags = general.rflags;
	system_from(&system, regs);
	regs->xcr0 = kvm_xcr0(vcpu);
	for (int i = 0; i < 4; i++)
		regs->dr[i] = debug.db[i];
	regs->dr6 = debug.dr6;
	regs->dr7 = debug.dr7;
	return 0;
}

static int put_system(int fd, const struct scry_regs *regs)
{
	struct kvm_sregs s;

	if (kvm_ioctl(fd, KVM_GET_SREGS, &s) < 0)
		return -1;
#define PUT(index, name) s.name = to_kvm(&regs->seg[index]);
	SEGMENTS(PUT)
#undef PUT
	s.gdt = (struct kvm_dtable){ .base = regs->gdtr.base, .limit = (uint16_t)regs->gdtr.limit };
	s.idt = (struct kvm_dtable){ .base = regs->idtr.base, .limit = (uint16_t)regs->idtr.limit };
	s.cr0 = regs->cr0;
	s.cr2 = regs->cr2;
	s.cr3 = regs->cr3;
	s.cr4 = regs->cr4;
	s.cr8 = regs->cr8;
	s.efer = regs->efer;
	return kvm_ioctl(fd, KVM_SET_SREGS, &s);
}

static int put_general(int fd, const struct scry_regs *regs)
{
	struct kvm_regs k = { .rip = regs->rip, .rflags = regs->rflags | 2 };

	kvm_set_gprs(&k, regs->gpr);
	return kvm_ioctl(fd, KVM_SET_REGS, &k);
}

static int put_debug(int fd, const struct scry_regs *regs)
{
	struct kvm_debugregs d = { .dr6 = regs->dr6, .dr7 = regs->dr7 };

	for (int i = 0; i < 4; i++)
		d.db[i] = regs->dr[i];
	return kvm_ioctl(fd, KVM_SET_DEBUGREGS, &d);
}

static int put_xcr0(int fd, uint64_t value)
{
	struct kvm_xcrs x = { .nr_xcrs = 1, .xcrs[0].value = value };

	return kvm_ioctl(fd, KVM_SET_XCRS, &x);
}

#define DEBUG_REGS \
	(SCRY_REG_BIT(SCRY_REG_DR0) | SCRY_REG_BIT(SCRY_REG_DR1) | SCRY_REG_BIT(SCRY_REG_DR2) | \
	 SCRY_REG_BIT(SCRY_REG_DR3) | SCRY_REG_BIT(SCRY_REG_DR6) | SCRY_REG_BIT(SCRY_REG_DR7))
#define GENERAL_REGS (SCRY_REGS_GPR | SCRY_REG_BIT(SCRY_REG_RIP) | SCRY_REG_BIT(SCRY_REG_RFLAGS))

/* What KVM may still refuse comes first, so that it is all or nothing. */
int kvm_regs_put(struct vcpu *vcpu, const struct scry_regs *regs, uint64_t mask)
{
	int fd = kvm_of(vcpu)->fd;

	if (mask & ~(GENERAL_REGS | DEBUG_REGS | SCRY_REG_BIT(SCRY_REG_XCR0)) &&
	    put_system(fd, regs) < 0)
		return -1;
	if (WANTS(XCR0) && put_xcr0(fd, regs->xcr0) < 0)
		return -1;
	if (mask & DEBUG_REGS && put_debug(fd, regs) < 0)
		return -1;
	if (mask & GENERAL_REGS && put_general(fd, regs) < 0)
		return -1;
	vcpu->rip = regs->rip;
	vcpu->cs_base = regs->seg[1].base;
	return 0;
}

/* struct kvm_msrs with one in it. */
struct one_msr {
	uint32_t count, pad;
	struct kvm_msr_entry entry;
};

int kvm_msr_read(struct vcpu *vcpu, uint32_t index, uint64_t *value)
{
	struct one_msr m = { .count = 1, .entry.index = index };

	if (kvm_ioctl(kvm_of(vcpu)->fd, KVM_GET_MSRS, &m) != 1)
		return -1;
	*value = m.entry.data;
	return 0;
}

int kvm_msr_write(struct vcpu *vcpu, uint32_t index, uint64_t value)
{
	struct one_msr m = { .count = 1, .entry = { .index = index, .data = value } };

	return kvm_ioctl(kvm_of(vcpu)->fd, KVM_SET_MSRS, &m) == 1 ? 0 : -1;
}

/* More than KVM_GET_XSAVE's 4096 where the processor has large components (AMX). */
static uint32_t xsave_bytes(void)
{
	int bytes = kvm_ioctl(kvm.fd, KVM_CHECK_EXTENSION, (void *)KVM_CAP_XSAVE2);

	return bytes > (int)XSAVE_LEGACY ? (uint32_t)bytes : XSAVE_LEGACY;
}

int kvm_xsave_get(struct vcpu *vcpu, void *area, uint32_t size)
{
	uint32_t bytes = xsave_bytes();

	memset(area, 0, size);
	if (size < bytes)
		return -1;
	return kvm_ioctl(kvm_of(vcpu)->fd, bytes > XSAVE_LEGACY ? KVM_GET_XSAVE2 : KVM_GET_XSAVE,
			 area);
}

int kvm_xsave_put(struct vcpu *vcpu, const void *area, uint32_t size)
{
	return size < xsave_bytes() ? -1 :
	       kvm_ioctl(kvm_of(vcpu)->fd, KVM_SET_XSAVE, (void *)(uintptr_t)area);
}

uint8_t kvm_shadow(struct kvcpu *k)
{
	struct kvm_vcpu_events events;

	return kvm_ioctl(k->fd, KVM_GET_VCPU_EVENTS, &events) == 0 ? events.interrupt.shadow : 0;
}

void kvm_set_shadow(struct kvcpu *k, uint8_t shadow)
{
	struct kvm_vcpu_events events;

	if (kvm_ioctl(k->fd, KVM_GET_VCPU_EVENTS, &events) < 0 || events.interrupt.shadow == shadow)
		return;
	events.flags = KVM_VCPUEVENT_VALID_SHADOW;
	events.interrupt.shadow = shadow;
	kvm_ioctl(k->fd, KVM_SET_VCPU_EVENTS, &events);
}

/* KVM says nothing of a #BP of the instruction at rip, which is INT3 then. */
bool kvm_delivers(struct kvcpu *k, uint8_t *vector)
{
	struct kvm_vcpu_events events;

	if (kvm_ioctl(k->fd, KVM_GET_VCPU_EVENTS, &events) < 0)
		return false;
	if (events.exception.injected || events.exception.pending)
		*vector = events.exception.nr;
	else if (events.nmi.injected)
		*vector = VECTOR_NMI;
	else if (events.interrupt.injected)
		*vector = events.interrupt.nr;
	else
		return false;
	return true;
}

bool kvm_waits_for_start(struct vcpu *vcpu)
{
	const struct kvcpu *k = kvm_of(vcpu);
	struct kvm_mp_state state;

	return !k->shut && kvm_ioctl(k->fd, KVM_GET_MP_STATE, &state) == 0 &&
	       (state.mp_state == KVM_MP_STATE_UNINITIALIZED ||
		state.mp_state == KVM_MP_STATE_INIT_RECEIVED);
}

/*
 * KVM takes #BP and #OF for those of the instruction at rip, behind which the guest
 * returns.  From outside they come as an interrupt of that vector does.
 */
static void queue_soft(struct kvm_vcpu_events *events, unsigned vector)
{
	events->interrupt.injected = 1;
	events->interrupt.nr = (uint8_t)vector;
	events->interrupt.soft = 0;
}

static void queue_hard(struct kvm_vcpu_events *events, const struct scry_exception *exception,
		       bool protected_mode)
{
	events->exception.injected = 1;
	events->exception.pending = 0;
	events->exception.nr = (uint8_t)exception->vector;
	events->exception.has_error_code = protected_mode && exception_with_error(exception->vector);
	events->exception.error_code = events->exception.has_error_code ? exception->error_code : 0;
}

/*
 * What KVM has taken for the guest, and not delivered yet, waits again where it came
 * from: together with an exception it would be lost.
 */
static void give_back(struct kvcpu *k, struct kvm_vcpu_events *events)
{
	unsigned vector = events->interrupt.nr, at = vector / 32 * 16 + vector / 8 % 4;
	struct kvm_lapic_state apic;
	uint8_t bit = (uint8_t)(1u << vector % 8);

	if (events->nmi.injected) {
		events->nmi.injected = events->nmi.masked = 0;
		events->nmi.pending = 1;
		events->flags |= KVM_VCPUEVENT_VALID_NMI_PENDING;
	}
	if (!events->interrupt.injected || events->interrupt.soft ||
	    kvm_ioctl(k->fd, KVM_GET_LAPIC, &apic) < 0 || !(apic.regs[APIC_ISR + at] & bit))
		return;
	apic.regs[APIC_ISR + at] &= (char)~bit;
	apic.regs[APIC_IRR + at] |= (char)bit;
	if (kvm_ioctl(k->fd, KVM_SET_LAPIC, &apic) == 0)
		events->interrupt.injected = 0;
}

void kvm_queue_exception(struct kvcpu *k, const struct scry_exception *exception, bool outside)
{
	struct kvm_mp_state state = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_vcpu_events events = { 0 };
	struct kvm_sregs system = { 0 };

	kvm_ioctl(k->fd, KVM_GET_SREGS, &system);
	if (exception->vector == EXCEPTION_PF) {
		system.cr2 = exception->cr2;
		kvm_ioctl(k->fd, KVM_SET_SREGS, &system);
	}
	kvm_ioctl(k->fd, KVM_GET_VCPU_EVENTS, &events);
	events.flags = 0;
	give_back(k, &events);
	if (outside && (exception->vector == VECTOR_BP || exception->vector == VECTOR_OF))
		queue_soft(&events, exception->vector);
	else
		queue_hard(&events, exception, system.cr0 & 1);
	kvm_ioctl(k->fd, KVM_SET_VCPU_EVENTS, &events);
	progress_over(k);
	k->progress.raises = true;
	kvm_ioctl(k->fd, KVM_SET_MP_STATE, &state);
}
