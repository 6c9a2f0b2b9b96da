/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arm.h"
#include "describe.h"
#include "exception.h"
#include "image.h"
#include "step.h"

/* How QEMU's cpu_single_step() steps. */
#define STEP_ENABLE 1
#define STEP_NO_IRQ 2

static void (*original)(struct qemu_cpu *cpu);

static void deliver(struct vcpu *vcpu)
{
	struct scry_event event;

	describe_vcpu(vcpu, &event);
	event.kind = SCRY_EVENT_STEP;
	if (vcpu_ask(vcpu, &event) && vcpu->action == SCRY_INJECT)
		exception_raise(vcpu);
}

/*
 * In the vCPU's thread, when QEMU's single-step or a breakpoint has brought it
 * out of its block, for the debugger.
 */
static void hook(struct qemu_cpu *cpu)
{
	struct vcpu *vcpu = vcpu_of(cpu);

	original(cpu);	/* the guest's own breakpoints; does not return then */
	if (!vcpu || !vcpu->steps)
		return;
	vcpu->rip = cpu_get64(cpu, cpu_layout.eip);
	if (filter_match_step(arm_filters(), vcpu->index, ++vcpu->stepped, vcpu->rip))
		deliver(vcpu);
	qemu.cpu_loop_exit_noexc(cpu);
}

int step_init(void)
{
	original = qemu.breakpoint_handler;
	return image_replace("breakpoint_handler", (void *)original, (void *)hook);
}

void step_arm(struct vcpu *vcpu, const struct filters *filters)
{
	bool blocks, steps = filter_steps(filters, vcpu->index, &blocks);

	if (!steps && !vcpu->steps)
		return;
	if (!vcpu->steps)
		vcpu->stepped = 0;
	vcpu->steps = steps;
	if (qemu.qemu_get_cpu((int)vcpu->index) != vcpu->cpu)
		return;		/* unplugged */
	qemu.cpu_single_step(vcpu->cpu, !steps ? 0 : blocks ? STEP_ENABLE | STEP_NO_IRQ : STEP_ENABLE);
}
