/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dlfcn.h>

#include "agent/accel.h"
#include "agent/memory/look.h"
#include "agent/qemu/detour.h"
#include "agent/refuse.h"
#include "arm.h"
#include "describe.h"
#include "interrupt.h"
#include "power.h"

/* QEMU's ShutdownCause, the same in all versions. */
#define CAUSE_GUEST_SHUTDOWN 6
#define CAUSE_GUEST_RESET    7

/* Where a reset puts a processor (Intel SDM volume 3, table 10-1). */
#define RESET_IP      0xfff0u
#define RESET_CS_BASE 0xffff0000u

static void (*original_reset)(int cause);
static void (*original_shutdown)(int cause);
static void (*on_reset)(void);

static void reset(int cause)
{
	original_reset(cause);
	if (on_reset)
		on_reset();
}

void power_request(enum scry_shutdown_type type)
{
	if (type == SCRY_SHUTDOWN_OFF)
		original_shutdown(CAUSE_GUEST_SHUTDOWN);
	else
		reset(CAUSE_GUEST_RESET);
}

/* In the vCPU's thread, between blocks, also if it is halted: have it looked at. */
static void wake(struct qemu_cpu *cpu, uint64_t data)
{
	struct vcpu *vcpu = (struct vcpu *)data;

	vcpu->power.halted |= cpu_get32(cpu, cpu_layout.halted) != 0;
	cpu_put32(cpu, cpu_layout.halted, 0);
	look_soon(vcpu);
}

/* The vCPU whose thread this is, or NULL. */
static struct vcpu *this_vcpu(void)
{
	struct qemu_cpu **current = dlsym(RTLD_DEFAULT, "current_cpu");

	return current && *current ? vcpu_of(*current) : NULL;
}

/*
 * A device's, or the processor's own, in a vCPU's thread and deep inside QEMU: the
 * client is asked when it has come out of there.  False if nobody wants to know.
 */
static bool put_off(struct vcpu *vcpu, enum scry_shutdown_type type)
{
	const struct filters *filters = arm_filters();

	if (!vcpu || !filters || !filter_match_shutdown(filters, vcpu->index, type))
		return false;
	/* The same once more, maybe: a reset by the host may have taken the last look away. */
	if (!vcpu->power.asks)
		vcpu->power.type = type;
	vcpu->power.asks = true;
	if (accel == &accel_tcg)	/* under KVM it comes by */
		qemu.async_run_on_cpu(vcpu->cpu, wake, (uint64_t)vcpu);
	return true;
}

/* An exception that cannot be delivered is the only thing that resets from within a delivery. */
static bool is_triple_fault(struct vcpu *vcpu)
{
	bool is = vcpu && (vcpu->power.triple_fault ||
			   (vcpu->delivers &&
			    vcpu->delivers_at == cpu_get64(vcpu->cpu, cpu_layout.eip)));

	if (vcpu)
		vcpu->delivers = vcpu->power.triple_fault = false;
	return is;
}

static void reset_hook(int cause)
{
	struct vcpu *vcpu = cause == CAUSE_GUEST_RESET ? this_vcpu() : NULL;

	if (!put_off(vcpu, is_triple_fault(vcpu) ? SCRY_SHUTDOWN_TRIPLE_FAULT : SCRY_SHUTDOWN_RESET))
		reset(cause);
}

static void shutdown_hook(int cause)
{
	struct vcpu *vcpu = cause == CAUSE_GUEST_SHUTDOWN ? this_vcpu() : NULL;

	if (!put_off(vcpu, SCRY_SHUTDOWN_OFF))
		original_shutdown(cause);
}

/* It goes on from the loop of its thread, which sees that it is halted. */
static void halt(struct vcpu *vcpu)
{
	cpu_put32(vcpu->cpu, cpu_layout.halted, 1);
	qemu.cpu_exit(vcpu->cpu);
}

/*
 * Only an NMI, or INIT, ends the state that a processor is in after a triple fault
 * (Intel SDM volume 3, 6.15, double fault).
 */
static void shut_down(struct vcpu *vcpu)
{
	uint64_t flags = cpu_get64(vcpu->cpu, cpu_layout.eflags);

	cpu_put64(vcpu->cpu, cpu_layout.eflags, flags & ~(uint64_t)EFLAGS_IF);
	halt(vcpu);
}

bool power_look(struct vcpu *vcpu)
{
	enum scry_shutdown_type type = vcpu->power.type;
	bool ours, halted = vcpu->power.halted;
	struct scry_event event;

	if (!vcpu->power.asks)
		return false;
	vcpu->power.halted = false;
	vcpu->rip = cpu_get64(vcpu->cpu, cpu_layout.eip);
	describe_vcpu(vcpu, &event);
	event.kind = SCRY_EVENT_SHUTDOWN;
	event.shutdown.type = type;
	ours = vcpu_ask(vcpu, &event);
	vcpu->power.asks = false;
	if (!ours)
		return false;	/* QEMU has reset it already */
	if (vcpu->action == SCRY_CONTINUE && !vcpu->jumps)
		power_request(type);
	halted = type == SCRY_SHUTDOWN_TRIPLE_FAULT || (halted && !vcpu->jumps);
	if (type == SCRY_SHUTDOWN_TRIPLE_FAULT)
		shut_down(vcpu);
	else if (halted)
		halt(vcpu);
	return halted;
}

void power_reset(void)
{
	reset(CAUSE_GUEST_RESET);
}

void power_watch_reset(void (*reset_comes)(void))
{
	on_reset = reset_comes;
}

bool power_waits_for_start(const struct vcpu *vcpu)
{
	return cpu_get64(vcpu->cpu, cpu_layout.eip) == RESET_IP &&
	       cpu_get64(vcpu->cpu, cpu_segment(1) + cpu_layout.seg.base) == RESET_CS_BASE;
}

void power_started(struct vcpu *vcpu)
{
	const struct filters *filters = arm_filters();
	struct scry_event event;

	if (!filters || !filter_match_kind(filters, vcpu->index, SCRY_EVENT_START))
		return;
	vcpu->rip = cpu_get64(vcpu->cpu, cpu_layout.eip);
	describe_vcpu(vcpu, &event);
	event.kind = SCRY_EVENT_START;
	event.start.gpa = cpu_get64(vcpu->cpu, cpu_segment(1) + cpu_layout.seg.base);
	if (vcpu_ask(vcpu, &event) && vcpu->action == SCRY_INJECT)
		interrupt_deliver(vcpu);
}

int power_init(void)
{
	const char *why = detour_install((void *)qemu.qemu_system_reset_request, (void *)reset_hook,
					 (void **)&original_reset);

	if (!why)
		why = detour_install((void *)qemu.qemu_system_shutdown_request, (void *)shutdown_hook,
				     (void **)&original_shutdown);
	return why ? refuse("cannot detour QEMU's requests to reset and shut down: %s: use the "
			    "distributions' QEMU 7.2 or 10.0", why) : 0;
}
