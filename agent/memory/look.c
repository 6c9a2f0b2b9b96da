/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/event/inject.h"
#include "agent/event/power.h"
#include "agent/qemu/image.h"
#include "look.h"
#include "memory_event.h"
#include "pass.h"
#include "watch.h"

/* A request to leave the translated code that no x86 machine makes: CPU_INTERRUPT_TGT_EXT_0. */
#define REQUEST_LOOK 8u

/* The message that starts a processor: CPU_INTERRUPT_SIPI. */
#define REQUEST_START 0x800u

static bool (*original)(struct qemu_cpu *cpu, int request);

static void set_request(struct qemu_cpu *cpu, bool set)
{
	uint32_t request = cpu_get32(cpu, cpu_layout.interrupt_request);

	cpu_put32(cpu, cpu_layout.interrupt_request, set ? request | REQUEST_LOOK :
							   request & ~REQUEST_LOOK);
}

void look_soon(struct vcpu *vcpu)
{
	bool locked = qemu.bql_locked();

	if (!locked)
		bql_lock();
	set_request(vcpu->cpu, true);
	if (!locked)
		qemu.bql_unlock();
}

/* Take what interrupt there is. */
static bool take(struct vcpu *vcpu, int request)
{
	bool starts = cpu_get32(vcpu->cpu, cpu_layout.interrupt_request) & REQUEST_START &&
		      power_waits_for_start(vcpu);
	bool taken = original(vcpu->cpu, request);

	if (starts && !power_waits_for_start(vcpu))
		power_started(vcpu);
	return taken;
}

/* In the vCPU's thread, between blocks, with QEMU's big lock held: is there an interrupt to take? */
static bool hook(struct qemu_cpu *cpu, int request)
{
	struct vcpu *vcpu = vcpu_of(cpu);

	if (!vcpu)
		return original(cpu, request);
	if (cpu_get32(cpu, cpu_layout.interrupt_request) & REQUEST_LOOK) {
		set_request(cpu, false);
		if (power_look(vcpu))
			return false;
		pass_look(vcpu);
		if (watch_look(vcpu) || memory_event_look(vcpu))
			return true;
	}
	if (inject_look(vcpu))
		return true;
	return take(vcpu, request);
}

int look_init(void)
{
	original = qemu.x86_cpu_exec_interrupt;
	return image_replace("x86_cpu_exec_interrupt", (void *)original, (void *)hook);
}
