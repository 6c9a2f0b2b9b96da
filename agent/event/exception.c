/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "exception.h"

/* Vectors 8, 10 to 14, 17 and 21. */
#define WITH_ERROR 0x227d00u

bool exception_valid(const struct scry_exception *exception)
{
	return exception->vector < 32 && exception->vector != 2;
}

bool exception_is_interrupt(const struct scry_exception *exception)
{
	return exception->vector >= 32 && exception->vector < 256;
}

bool exception_with_error(unsigned vector)
{
	return vector < 32 && WITH_ERROR >> vector & 1;
}

bool exception_has_error(const struct qemu_cpu *cpu, unsigned vector)
{
	return cpu_hflags(cpu) & HF_PE && exception_with_error(vector);
}

uint32_t exception_prepare(struct vcpu *vcpu)
{
	if (vcpu->exception.vector == EXCEPTION_PF)
		cpu_put64(vcpu->cpu, cpu_layout.cr2, vcpu->exception.cr2);
	return exception_has_error(vcpu->cpu, vcpu->exception.vector) ?
	       vcpu->exception.error_code : 0;
}

void exception_raise(struct vcpu *vcpu)
{
	uint32_t error = exception_prepare(vcpu);

	vcpu->raises = true;
	qemu.raise_exception_err_ra(cpu_env(vcpu->cpu), (int)vcpu->exception.vector, (int)error, 0);
	__builtin_unreachable();
}
