/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xen.h"

/*
 * Xen pauses domains, not vCPUs: while any of its vCPUs is to stand still the whole
 * domain does.  Xen counts; so does the watchdog, which undoes what stands there.
 */

int xen_vcpu_stop(struct scry_vm *vm, unsigned vcpu)
{
	struct xen_vm *x = xen_of(vm);
	int ret = 0;

	pthread_mutex_lock(&x->pause_lock);
	if (!x->stopped) {
		ret = XEN_CALL(x, xc_domain_pause);
		if (!ret)
			atomic_fetch_add(&x->watchdog.shared->pauses, 1);
		else
			ret = xen_failed(x, "pause it");
	}
	if (!ret)
		x->stopped |= UINT64_C(1) << vcpu;
	pthread_mutex_unlock(&x->pause_lock);
	return ret;
}

static int unpause(struct xen_vm *x)
{
	int injected = xen_inject_pending(x);

	atomic_fetch_sub(&x->watchdog.shared->pauses, 1);
	return XEN_CALL(x, xc_domain_unpause) ? xen_failed(x, "let it go on") : injected;
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
