/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pthread.h>

#include "agent/memory/watch.h"
#include "agent/qemu/detour.h"
#include "agent/qemu/image.h"
#include "agent/refuse.h"
#include "arm.h"
#include "describe.h"
#include "exception.h"
#include "step.h"

/* How QEMU's cpu_single_step() steps. */
#define STEP_ENABLE 1
#define STEP_NO_IRQ 2

static void (*original)(struct qemu_cpu *cpu);
static void (*original_atomic)(struct qemu_cpu *cpu);

/* A vCPU that waits to be alone executes nothing: steps may be armed meanwhile. */
static pthread_mutex_t step_lock = PTHREAD_MUTEX_INITIALIZER;

static void deliver(struct vcpu *vcpu)
{
	struct scry_event event;

	describe_vcpu(vcpu, &event);
	event.kind = SCRY_EVENT_STEP;
	if (vcpu_ask(vcpu, &event) && vcpu->action == SCRY_INJECT)
		exception_raise(vcpu);
}

/*
 * In single-step QEMU does not look for the guest's own breakpoints: raise #DB if
 * there is one, but not again where its handler has returned to (RF: Intel SDM
 * volume 3, 18.3.1.1).
 */
static void look_for_breakpoints(struct vcpu *vcpu)
{
	if (!(cpu_get64(vcpu->cpu, cpu_layout.eflags) & EFLAGS_RF))
		original(vcpu->cpu);
}

/* The vCPU has made a step, and the next instruction does nothing yet. */
static void __attribute__((noreturn)) report(struct vcpu *vcpu)
{
	vcpu->begun = vcpu->delivered = false;
	vcpu->rip = cpu_get64(vcpu->cpu, cpu_layout.eip);
	if (filter_match_step(arm_filters(), vcpu->index, ++vcpu->stepped, vcpu->rip))
		deliver(vcpu);
	look_for_breakpoints(vcpu);
	vcpu_leave(vcpu);
}

void step_callback(unsigned index, void *unused)
{
	struct vcpu *vcpu = &vcpus[index];
	uint64_t rip;

	(void)unused;
	if (index >= vcpu_count || !vcpu->steps)
		return;
	rip = cpu_get64(vcpu->cpu, cpu_layout.eip);	/* up to date where a block begins */
	if (vcpu->begun && vcpu->begun_rip != rip)
		report(vcpu);
	vcpu->begun = true;
	vcpu->begun_rip = rip;
}

/*
 * In the vCPU's thread, when QEMU's single-step or a breakpoint has brought it
 * out of its block, for the debugger.
 */
static void hook(struct qemu_cpu *cpu)
{
	struct vcpu *vcpu = vcpu_of(cpu);

	if (vcpu)
		watch_stopped(vcpu);
	if (!vcpu || !vcpu->steps) {
		original(cpu);
		return;
	}
	if (vcpu->begun || vcpu->delivered)
		report(vcpu);
	look_for_breakpoints(vcpu);	/* or interrupted before the instruction began */
	vcpu_leave(vcpu);
}

/* With step_lock held. */
static void tell_qemu(struct vcpu *vcpu)
{
	qemu.cpu_single_step(vcpu->cpu, vcpu->alone ? 0 : vcpu->step_flags);
}

static void set_alone(struct vcpu *vcpu, bool alone)
{
	pthread_mutex_lock(&step_lock);
	vcpu->alone = alone;
	tell_qemu(vcpu);
	pthread_mutex_unlock(&step_lock);
}

/*
 * One instruction, a locked one that QEMU carries out with all other vCPUs halted.
 * Its flags would be lost where QEMU's single-step leaves the block, so it is done
 * without; step_callback() tells of the step where the next block begins.
 */
static void step_atomic(struct qemu_cpu *cpu)
{
	struct vcpu *vcpu = vcpu_of(cpu);

	if (vcpu)
		set_alone(vcpu, true);
	original_atomic(cpu);
	if (vcpu)
		set_alone(vcpu, false);
}

int step_init(void)
{
	const char *why = detour_install((void *)qemu.cpu_exec_step_atomic, (void *)step_atomic,
					 (void **)&original_atomic);

	if (why)
		return refuse("cannot detour cpu_exec_step_atomic: %s: use the distributions' QEMU 7.2 or "
			      "later", why);
	original = qemu.breakpoint_handler;
	return image_replace("breakpoint_handler", (void *)original, (void *)hook);
}

void step_arm(struct vcpu *vcpu, const struct filters *filters)
{
	bool blocks, steps = filter_steps(filters, vcpu->index, &blocks);

	if (!steps && !vcpu->steps)
		return;
	if (!vcpu->steps) {
		vcpu->stepped = 0;
		vcpu->begun = vcpu->delivered = false;
	}
	vcpu->steps = steps;
	if (qemu.qemu_get_cpu((int)vcpu->index) != vcpu->cpu)
		return;		/* unplugged */
	pthread_mutex_lock(&step_lock);
	vcpu->step_flags = !steps ? 0 : blocks ? STEP_ENABLE | STEP_NO_IRQ : STEP_ENABLE;
	tell_qemu(vcpu);
	pthread_mutex_unlock(&step_lock);
}
