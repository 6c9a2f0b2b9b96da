/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "events.h"

#include <xen/hvm/dm_op.h>

#define NO_ERROR_CODE  UINT32_MAX
/* #DF #TS #NP #SS #GP #PF #AC #CP #VC #SX push an error code. */
#define HAS_ERROR_CODE 0x60227d00u

bool xen_has_error_code(uint32_t vector)
{
	return vector < 32 && HAS_ERROR_CODE >> vector & 1;
}

/*
 * A software exception would need the length of its instruction: with none most VMX
 * processors refuse the entry, and the domain dies.  So #BP and #OF are as if hardware had
 * raised them, too.
 */
int xen_inject_exception(struct xen_events *e, unsigned vcpu, const struct scry_exception *x)
{
	const struct xen_injected injected = {
		.vector = (uint8_t)x->vector, .cr2 = x->cr2,
		.type = x->vector < 32 ? XEN_DMOP_EVENT_hw_exc : XEN_DMOP_EVENT_ext_int,
		.error_code = xen_has_error_code(x->vector) ? x->error_code : NO_ERROR_CODE,
	};

	return xen_inject_event(e, vcpu, &injected);
}

int xen_inject_event(struct xen_events *e, unsigned vcpu, const struct xen_injected *injected)
{
	int ret = xen_hyper_inject(&e->hyper, vcpu, injected);

	if (ret == -EBUSY)
		return scry_fail(SCRY_E_STATE, "vCPU %u has an injection pending already", vcpu);
	if (!ret)
		e->vcpu[vcpu].own = 1u + injected->vector;
	return ret ? scry_fail(ret == -ESRCH ? SCRY_E_GONE : SCRY_E_IO, "Xen cannot inject an "
			       "exception into VM %s: %s", e->vm->name, strerror(-ret)) : 0;
}

static int inject(struct xen_vm *x, unsigned vcpu, const struct scry_injection *injection)
{
	int ret;

	switch (injection->type) {
	case SCRY_INTERRUPT_HARDWARE:
		/* By its local APIC, which delivers it when the vCPU takes interrupts. */
		ret = xen_hyper_interrupt(&x->events->hyper, vcpu, injection->vector);
		errno = -ret;
		return ret < 0 ? xen_failed(x, "inject an interrupt") : 0;
	case SCRY_INTERRUPT_NMI:
		if (XEN_CALL(x, xc_domain_send_trigger, XEN_DOMCTL_SENDTRIGGER_NMI, vcpu) < 0)
			return xen_failed(x, "inject an NMI");
		return 0;
	default:
		return xen_inject_exception(x->events, vcpu, &injection->exception);
	}
}

/*
 * Xen does not take back what it was given; so what a paused vCPU is to take it gets
 * when it goes on, and not at all if the client has gone until then.
 */
int xen_inject(struct scry_vm *vm, unsigned vcpu, const struct scry_injection *injection)
{
	struct xen_vm *x = xen_of(vm);
	uint64_t bit = UINT64_C(1) << vcpu;
	int ret = xen_events_ended(x->events);

	if (ret < 0)
		return ret;
	if (injection->type == SCRY_INTERRUPT_EXCEPTION &&
	    xen_held_inject(vm, vcpu, &injection->exception))
		return 0;
	pthread_mutex_lock(&x->pause_lock);
	if (!(x->stopped & bit)) {
		ret = inject(x, vcpu, injection);
	} else if (x->injecting & bit) {
		ret = scry_fail(SCRY_E_STATE, "vCPU %u has an injection pending already", vcpu);
	} else {
		x->injection[vcpu] = *injection;
		x->injecting |= bit;
	}
	pthread_mutex_unlock(&x->pause_lock);
	return ret;
}

int xen_inject_pending(struct xen_vm *x)
{
	int ret = 0;

	for (unsigned vcpu = 0; vcpu < x->vm->vcpus; vcpu++)
		if (x->injecting >> vcpu & 1) {
			int one = inject(x, vcpu, &x->injection[vcpu]);

			ret = one < 0 ? one : ret;
		}
	x->injecting = 0;
	return ret;
}
