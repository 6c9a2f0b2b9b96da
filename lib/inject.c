/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "driver.h"
#include "stopped.h"

static int make_inject(struct scry_vm *vm, unsigned vcpu, const struct vcpu_call *c)
{
	return vm->driver->inject(vm, vcpu, c->injection);
}

static int check(const struct scry_injection *i)
{
	if (!i || i->sz != sizeof(*i))
		return scry_fail(SCRY_E_INVAL, "scry_injection.sz must be sizeof(struct "
				 "scry_injection)");
	switch (i->type) {
	case SCRY_INTERRUPT_EXCEPTION:
		if (scry_is_exception(i->exception.vector))
			return 0;
		return scry_fail(SCRY_E_INVAL, "there is no exception %u to inject: vectors are 0 to "
				 "31, and 2 is the NMI", i->exception.vector);
	case SCRY_INTERRUPT_HARDWARE:
		if (i->vector >= 16 && i->vector <= 255)
			return 0;
		return scry_fail(SCRY_E_INVAL, "there is no interrupt vector %u: they are 16 to 255",
				 i->vector);
	case SCRY_INTERRUPT_NMI:
		return 0;
	default:
		return scry_fail(SCRY_E_INVAL, "only exceptions, hardware interrupts and NMIs can be "
				 "injected");
	}
}

int scry_inject(struct scry_vm *vm, unsigned vcpu, const struct scry_injection *injection)
{
	int ret = check(injection);

	return ret < 0 ? ret : scry_on_stopped(vm, SCRY_CAP_INJECT, vcpu,
					       &(struct vcpu_call){ .make = make_inject,
								    .injection = injection });
}
