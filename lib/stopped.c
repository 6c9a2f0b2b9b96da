/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "driver.h"
#include "stopped.h"

int scry_on_stopped(struct scry_vm *vm, enum scry_cap cap, unsigned vcpu,
		    const struct vcpu_call *call)
{
	int ret = scry_need(vm, cap), resumed;

	if (!ret)
		ret = scry_check_vcpu(vm, vcpu);
	if (ret < 0)
		return ret;
	if (vm->driver->vcpu_waits && vm->driver->vcpu_waits(vm, vcpu)) {
		ret = call->make(vm, vcpu, call);
		if (ret != SCRY_E_STATE)
			return ret;
	}
	ret = scry_vcpu_hold(vm, vcpu);
	if (ret < 0)
		return ret;
	ret = call->make(vm, vcpu, call);
	resumed = scry_vcpu_resume(vm, vcpu);
	return ret < 0 ? ret : resumed < 0 ? resumed : ret;
}
