/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "events.h"

/*
 * Xen pauses domains, not vCPUs: while any of its vCPUs is to stand still the whole
 * domain does.  Xen counts; so does the watchdog, which undoes what stands there.
 */

int xen_vcpu_stop(struct scry_vm *vm, unsigned vcpu)
{
	struct xen_vm *x = xen_of(vm);
	int ret = 0;

	pthread_mutex_lock(&x->pause_lock);
	if (!x->stopped)
		ret = xen_hold(x->events);
	if (!ret)
		x->stopped |= UINT64_C(1) << vcpu;
	pthread_mutex_unlock(&x->pause_lock);
	return ret;
}

static int unpause(struct xen_vm *x)
{
	int injected = xen_inject_pending(x), ret = xen_let_go(x->events);

	return ret < 0 ? ret : injected;
}

int xen_vcpu_go(struct scry_vm *vm, unsigned vcpu)
{
	struct xen_vm *x = xen_of(vm);
	int ret = 0;

	pthread_mutex_lock(&x->pause_lock);
	x->stopped &= ~(UINT64_C(1) << vcpu);
	if (!x->stopped)
		ret = unpause(x);
	pthread_mutex_unlock(&x->pause_lock);
	return ret;
}
