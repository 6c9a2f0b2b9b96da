/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_EXCEPTION_H
#define AGENT_EXCEPTION_H

#include "agent/vcpu/vcpu.h"

#define EXCEPTION_GP 13
#define EXCEPTION_PF 14

bool exception_valid(const struct scry_exception *exception);

/* No exception, but the vector of an interrupt? */
bool exception_is_interrupt(const struct scry_exception *exception);

/* Does an error code go with it, outside real mode? */
bool exception_with_error(unsigned vector);

/* Does an error code go with it, in the mode the vCPU is in? (Intel SDM volume 3, 6.15) */
bool exception_has_error(const struct qemu_cpu *cpu, unsigned vector);

/* CR2, for a page fault, and the error code as the processor would have it. */
uint32_t exception_prepare(struct vcpu *vcpu);

/* From a translated block: raise vcpu->exception at its rip.  Does not return. */
void exception_raise(struct vcpu *vcpu) __attribute__((noreturn));

#endif
