/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <scry/error.h>
#include <stdio.h>

#include "agent/accel.h"
#include "exception.h"
#include "inject.h"
#include "interrupt.h"

/* QEMU's request to leave the translated code, which asks for nothing else. */
#define REQUEST_LEAVE 4

/* A message to a local APIC (Intel SDM volume 3, 11.11). */
#define MESSAGE_ADDRESS 0xfee00000u
#define MESSAGE_NMI     0x400u

bool inject_look(struct vcpu *vcpu)
{
	if (!vcpu->injects)
		return false;
	vcpu->injects = false;
	vcpu->passes = false;	/* it will be executed anew */
	cpu_put32(vcpu->cpu, cpu_layout.hflags, cpu_hflags(vcpu->cpu) & ~HF_INHIBIT_IRQ);
	vcpu->rip = cpu_get64(vcpu->cpu, cpu_layout.eip);
	if (!vcpu_injected(vcpu))
		return false;
	vcpu->exception = vcpu->injection;
	interrupt_deliver(vcpu);
	return true;
}

void inject_later(struct vcpu *vcpu, const struct scry_exception *exception)
{
	vcpu->injection = *exception;
	vcpu->injects = true;
	bql_lock();
	cpu_put32(vcpu->cpu, cpu_layout.halted, 0);
	qemu.cpu_interrupt(vcpu->cpu, REQUEST_LEAVE);
	qemu.bql_unlock();
}

static void send_message(struct vcpu *vcpu, uint32_t data)
{
	uint32_t eax, ebx, ecx, edx;

	qemu.cpu_x86_cpuid(cpu_env(vcpu->cpu), 1, 0, &eax, &ebx, &ecx, &edx);
	bql_lock();
	qemu.address_space_rw(qemu.address_space_memory, MESSAGE_ADDRESS | ebx >> 24 << 12, 0, &data,
			      sizeof(data), true);
	qemu.bql_unlock();
}

int inject(struct vcpu *vcpu, uint32_t type, const struct scry_exception *exception, char *text,
	   size_t size)
{
	if (accel->waits_for_start(vcpu)) {
		snprintf(text, size, "the guest has not started vCPU %u, which takes nothing but a "
			 "start-up message (SIPI): wait until it has", vcpu->index);
		return SCRY_E_STATE;
	}
	switch (type) {
	case SCRY_INTERRUPT_EXCEPTION:
		if (!exception_valid(exception)) {
			snprintf(text, size, "there is no such exception to inject");
			return SCRY_E_REFUSED;
		}
		accel->inject(vcpu, exception);
		return 0;
	case SCRY_INTERRUPT_HARDWARE:
		send_message(vcpu, exception->vector & 0xff);
		return 0;
	case SCRY_INTERRUPT_NMI:
		send_message(vcpu, MESSAGE_NMI);
		return 0;
	}
	snprintf(text, size, "this kind of interrupt cannot be injected");
	return SCRY_E_INVAL;
}
