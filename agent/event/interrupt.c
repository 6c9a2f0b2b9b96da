/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/memory/pass.h"
#include "agent/memory/watch.h"
#include "agent/pt/pt.h"
#include "agent/qemu/detour.h"
#include "agent/refuse.h"
#include "agent/vcpu/msr.h"
#include "arm.h"
#include "describe.h"
#include "exception.h"
#include "execute.h"
#include "interrupt.h"

#define VECTOR_NMI 2

#define MSR_APIC_BASE  0x1b
#define MSR_X2APIC_EOI 0x80b
#define APIC_X2        (1u << 10)
#define APIC_ISR       0x100	/* eight words, 16 bytes apart */
#define APIC_EOI       0xb0

/* The arguments of QEMU's do_interrupt_all(). */
struct delivery {
	int vector, is_int, error;
	uint64_t next_eip;	/* is_int: behind the instruction */
	int is_hw;
};

static void (*original)(struct qemu_cpu *cpu, int vector, int is_int, int error,
			uint64_t next_eip, int is_hw);

static enum scry_interrupt_type type_of(const struct delivery *d)
{
	if (d->is_int)
		return SCRY_INTERRUPT_SOFTWARE;
	if (!d->is_hw)
		return SCRY_INTERRUPT_EXCEPTION;
	return d->vector == VECTOR_NMI ? SCRY_INTERRUPT_NMI : SCRY_INTERRUPT_HARDWARE;
}

static void describe_delivery(struct vcpu *vcpu, const struct delivery *d,
			      struct scry_event *event)
{
	enum scry_interrupt_type type = type_of(d);
	bool exception = type == SCRY_INTERRUPT_EXCEPTION;

	describe_vcpu(vcpu, event);
	event->kind = SCRY_EVENT_INTERRUPT;
	event->insn_len = d->is_int ? (uint32_t)(d->next_eip - vcpu->rip) & 15 : 0;
	event->interrupt.type = type;
	event->interrupt.vector = (uint8_t)d->vector;
	event->interrupt.has_error = exception &&
				     exception_has_error(vcpu->cpu, (unsigned)d->vector);
	event->interrupt.error_code = event->interrupt.has_error ? (uint32_t)d->error : 0;
	if (exception && d->vector == EXCEPTION_PF)
		event->interrupt.cr2 = cpu_get64(vcpu->cpu, cpu_layout.cr2);
}

/* False: what was to be delivered is no more. */
static bool ask(struct vcpu *vcpu, const struct delivery *d)
{
	struct scry_event event;
	bool ours;

	vcpu->rip = cpu_get64(vcpu->cpu, cpu_layout.eip);
	describe_delivery(vcpu, d, &event);
	vcpu->interrupted = d->is_int || type_of(d) == SCRY_INTERRUPT_HARDWARE;
	ours = vcpu_ask(vcpu, &event);
	vcpu->interrupted = false;
	return ours;
}

/* Without the lock: end an interrupt that the guest will never see. */
static void end_at_apic(struct vcpu *vcpu, unsigned vector)
{
	uint64_t base = 0, page;
	uint32_t isr = 0, zero = 0;

	if (msr_read(vcpu->cpu, MSR_APIC_BASE, &base) < 0)
		return;
	if (base & APIC_X2) {
		msr_write(vcpu->cpu, MSR_X2APIC_EOI, 0);
		return;
	}
	page = base & ~UINT64_C(0xfff);
	qemu.address_space_rw(qemu.address_space_memory, page + APIC_ISR + vector / 32 * 16, 0, &isr,
			      sizeof(isr), false);
	if (isr >> vector % 32 & 1)
		qemu.address_space_rw(qemu.address_space_memory, page + APIC_EOI, 0, &zero,
				      sizeof(zero), true);
}

/* QEMU has taken the interrupt from where it came, and the guest will never see it. */
static void end_dropped(struct vcpu *vcpu, const struct delivery *d)
{
	struct qemu_cpu *cpu = vcpu->cpu;

	switch (type_of(d)) {
	case SCRY_INTERRUPT_HARDWARE:
		qemu.bql_unlock();	/* the helper of WRMSR takes it itself */
		end_at_apic(vcpu, (unsigned)d->vector);
		bql_lock();
		break;
	case SCRY_INTERRUPT_NMI:
		cpu_put32(cpu, cpu_layout.hflags2, cpu_get32(cpu, cpu_layout.hflags2) & ~HF2_NMI);
		break;
	default:
		break;
	}
}

/* What QEMU was about to do; if it raises an exception on the way this does not return. */
static void deliver(struct vcpu *vcpu, const struct delivery *d)
{
	if (!d->is_int)
		pt_interrupted(vcpu, !d->is_hw);
	vcpu->delivers = true;
	vcpu->delivers_at = cpu_get64(vcpu->cpu, cpu_layout.eip);
	original(vcpu->cpu, d->vector, d->is_int, d->error, d->next_eip, d->is_hw);
	vcpu->delivers = false;
	vcpu->delivered = true;
}

void interrupt_deliver(struct vcpu *vcpu)
{
	deliver(vcpu, &(struct delivery){ .vector = (int)vcpu->exception.vector,
					  .error = (int)exception_prepare(vcpu) });
}

/* What the reply says, other than to deliver it as it is. */
static void divert(struct vcpu *vcpu, const struct delivery *d)
{
	struct delivery other = *d;

	if (vcpu->action == SCRY_INJECT && vcpu->exception.vector >= 32) {
		other.vector = (int)vcpu->exception.vector;
		deliver(vcpu, &other);
		return;
	}
	end_dropped(vcpu, d);
	if (type_of(d) == SCRY_INTERRUPT_EXCEPTION)
		pt_left(vcpu);		/* its block, in the middle */
	if (vcpu->action == SCRY_INJECT)
		interrupt_deliver(vcpu);
	else if (d->is_int && !vcpu->jumps)
		execute_nothing(vcpu, (struct site){ .len = (uint8_t)(d->next_eip - vcpu->rip) });
}

static bool wanted(const struct vcpu *vcpu, const struct delivery *d)
{
	const struct filters *filters = arm_filters();

	return filters && filters->kinds & 1u << SCRY_EVENT_INTERRUPT &&
	       filter_match_interrupt(filters, vcpu->index, type_of(d), (uint8_t)d->vector);
}

/*
 * In the vCPU's thread, between blocks, with QEMU's big lock held; but without it
 * from within VMRUN's helper, to whose block one must be able to return.
 */
static void hook(struct qemu_cpu *cpu, int vector, int is_int, int error, uint64_t next_eip,
		 int is_hw)
{
	struct delivery d = { vector, is_int, error, next_eip, is_hw };
	struct vcpu *vcpu = vcpu_of(cpu);
	bool ours;

	if (!vcpu) {
		original(cpu, vector, is_int, error, next_eip, is_hw);
		return;
	}
	if (!watch_interrupted(vcpu, qemu.bql_locked())) {
		pt_left(vcpu);
		return;
	}
	pass_end(vcpu);
	ours = vcpu->raises && vector == (int)vcpu->exception.vector;
	vcpu->raises = false;
	if (ours || !wanted(vcpu, &d) || !qemu.bql_locked())
		deliver(vcpu, &d);
	else if (!ask(vcpu, &d))
		pt_left(vcpu);
	else if (vcpu->action == SCRY_CONTINUE && !vcpu->jumps)
		deliver(vcpu, &d);
	else
		divert(vcpu, &d);
}

int interrupt_init(void)
{
	const char *why = detour_install((void *)qemu.do_interrupt_all, (void *)hook,
					 (void **)&original);

	return why ? refuse("cannot detour do_interrupt_all: %s: use the distributions' QEMU 7.2 or "
			    "10.0", why) : 0;
}
