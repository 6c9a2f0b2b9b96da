/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_LIB_STOPPED_H
#define SCRY_LIB_STOPPED_H

#include "vm.h"

/* One call to the driver about a vCPU that must not be running. */
struct vcpu_call {
	int (*make)(struct scry_vm *vm, unsigned vcpu, const struct vcpu_call *call);
	struct scry_regs *regs;
	const struct scry_regs *new_regs;
	uint64_t mask, value, *value_out;
	uint32_t index;
	void *area;
	const void *new_area;
	size_t size;
	const struct scry_injection *injection;
};

/*
 * Make it, if the driver has the capability: on a vCPU that waits in an event as
 * it is, else stop it for the moment.
 */
int scry_on_stopped(struct scry_vm *vm, enum scry_cap cap, unsigned vcpu,
		    const struct vcpu_call *call);

/*
 * As scry_vcpu_pause(), of a driver too that can only stop others with it; the end is
 * scry_vcpu_resume().
 */
int scry_vcpu_hold(struct scry_vm *vm, unsigned vcpu);

#endif
