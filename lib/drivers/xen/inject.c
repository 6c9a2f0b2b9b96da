/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "events.h"

#include <xen/hvm/dm_op.h>

#define NO_ERROR_CODE  UINT32_MAX
#define MSI_ADDRESS    UINT64_C(0xfee00000)
#define APIC_ID(vcpu)  ((uint64_t)(vcpu) * 2)	/* as Xen numbers them */
/* #DF #TS #NP #SS #GP #PF #AC #CP #VC #SX push an error code. */
#define HAS_ERROR_CODE 0x60227d00u

static uint8_t type_of(uint32_t vector)
{
	return vector == 3 || vector == 4 ? XEN_DMOP_EVENT_sw_exc : XEN_DMOP_EVENT_hw_exc;
}

static int inject_exception(struct xen_vm *x, unsigned vcpu, const struct scry_exception *e)
{
	bool has_code = HAS_ERROR_CODE >> e->vector & 1;
	int ret = x->host.libraries.xendevicemodel_inject_event(
		x->model, (domid_t)x->domid, (int)vcpu, (uint8_t)e->vector, type_of(e->vector),
		has_code ? e->error_code : NO_ERROR_CODE, 0, e->cr2);

	if (ret < 0 && errno == EBUSY)
		return scry_fail(SCRY_E_STATE, "vCPU %u has an injection pending already", vcpu);
	return ret < 0 ? xen_failed(x, "inject an exception") : 0;
}

static int inject(struct xen_vm *x, unsigned vcpu, const struct scry_injection *injection)
{
	switch (injection->type) {
	case SCRY_INTERRUPT_HARDWARE:
		/* By its local APIC, which delivers it when the vCPU takes interrupts. */
		if (x->host.libraries.xendevicemodel_inject_msi(x->model, (domid_t)x->domid,
								MSI_ADDRESS | APIC_ID(vcpu) << 12,
								injection->vector) < 0)
			return xen_failed(x, "inject an interrupt");
		return 0;
	case SCRY_INTERRUPT_NMI:
		if (XEN_CALL(x, xc_domain_send_trigger, XEN_DOMCTL_SENDTRIGGER_NMI, vcpu) < 0)
			return xen_failed(x, "inject an NMI");
		return 0;
	default:
		return inject_exception(x, vcpu, &injection->exception);
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
	int ret = 0;

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
