/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "areas.h"
#include "events.h"
#include "undo.h"

/*
 * Driver `xen`: a domain of the Xen that this dom0 runs on, by Xen's own libraries.
 */

int xen_failed(struct xen_vm *x, const char *what)
{
	int error = errno;

	if (error == ESRCH)
		return scry_fail(SCRY_E_GONE, "VM %s has ended", x->vm->name);
	return scry_fail(error == EPERM || error == EACCES ? SCRY_E_PERM : SCRY_E_IO,
			 "cannot %s: Xen refuses that for VM %s (%s)", what, x->vm->name,
			 strerror(error));
}

#define NO_VCPU_PAUSE \
	"Xen pauses whole domains; its one call for a vCPU alone is for its debugger, and left out " \
	"of what distributions build"

static void set_caps(struct scry_vm *vm)
{
	static const enum scry_cap have[] = {
		SCRY_CAP_VCPU_COUNT, SCRY_CAP_MAX_GFN, SCRY_CAP_MEMORY_MAP, SCRY_CAP_PAUSE,
		SCRY_CAP_PHYS_WRITE, SCRY_CAP_RAM_MAP, SCRY_CAP_REGS_READ, SCRY_CAP_REGS_WRITE,
		SCRY_CAP_MSR_READ, SCRY_CAP_MSR_WRITE, SCRY_CAP_XSAVE_READ, SCRY_CAP_XSAVE_WRITE,
		SCRY_CAP_INJECT,
	};

	for (int cap = 0; cap < SCRY_CAP_COUNT; cap++)
		scry_cap_set(vm, cap, false, "the driver for Xen does not do this");
	for (size_t i = 0; i < sizeof(have) / sizeof(have[0]); i++)
		scry_cap_set(vm, have[i], true, "");
	scry_cap_set(vm, SCRY_CAP_PHYS_READ, true, "by loads from Xen's mapping");
	scry_cap_set(vm, SCRY_CAP_PAUSE, true, "only the vCPUs: the guest's TSC goes on");
	scry_cap_set(vm, SCRY_CAP_VCPU_PAUSE, false, NO_VCPU_PAUSE);
	scry_cap_set(vm, SCRY_CAP_INJECT, true, "only while no other is pending; a vCPU that has "
		     "halted takes an exception when an interrupt has woken it");
}

static struct xen_vm *xen_new(struct scry_vm *vm)
{
	struct xen_vm *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->vm = vm;
	x->watch_end = -1;
	x->life = 1;
	x->watchdog.socket = -1;
	pthread_mutex_init(&x->pause_lock, NULL);
	vm->driver_data = x;
	return x;
}

static void xen_close(struct scry_vm *vm)
{
	struct xen_vm *x = xen_of(vm);

	xen_watch_stop(x);
	if (x->events)
		xen_keeper_stop(x->events);
	if (!xen_watchdog_stop(&x->watchdog, vm->timeout_ms) && x->events)
		xen_undo(&x->events->hyper, x->watchdog.shared, x->events->page);
	xen_events_close(vm);
	xen_watchdog_forget(&x->watchdog);
	xen_areas_free(x);
	xen_pt_free(x);
	if (x->memory)
		x->host.libraries.xenforeignmemory_close(x->memory);
	xen_host_close(&x->host);
	pthread_mutex_destroy(&x->pause_lock);
	free(x);
}

static int open_handles(struct xen_vm *x)
{
	x->memory = x->host.libraries.xenforeignmemory_open(&xen_silence, 0);
	return x->memory ? 0 : xen_failed(x, "map memory");
}

static int check_domain(const struct scry_vm *vm, const struct xen_domain *domain)
{
	if (!(domain->flags & XEN_DOMINF_hvm_guest))
		return scry_fail(SCRY_E_UNSUPPORTED, "%s is a PV domain: scry looks into HVM and PVH "
				 "domains", vm->name);
	if (domain->flags & XEN_DOMINF_dying)
		return scry_fail(SCRY_E_GONE, "VM %s has ended", vm->name);
	if (!domain->vcpus || !domain->pages)
		return scry_fail(SCRY_E_STATE, "VM %s is still being made, and has no vCPU or no memory: "
				 "try again", vm->name);
	if (domain->vcpus > SCRY_MAX_VCPUS)
		return scry_fail(SCRY_E_UNSUPPORTED, "%s has %u vCPUs: scry knows %u at most",
				 vm->name, domain->vcpus, SCRY_MAX_VCPUS);
	return 0;
}

static int attach(struct xen_vm *x, const char *address)
{
	struct xen_domain domain;
	int ret = xen_host_open(&x->host);

	if (!ret)
		ret = xen_domain_find(&x->host, address, &domain);
	if (ret < 0)
		return ret;
	x->domid = domain.id;
	x->is_down = domain.flags & XEN_DOMINF_shutdown;
	x->vm->vcpus = domain.vcpus;
	x->vm->ram_access = SCRY_RAM_MAPPED;
	xen_domain_name(&x->host, domain.id, x->vm->name, sizeof(x->vm->name));
	xen_host_version(&x->host, x->vm->hypervisor, sizeof(x->vm->hypervisor));
	ret = check_domain(x->vm, &domain);
	if (!ret)
		ret = open_handles(x);
	if (!ret)
		ret = xen_watchdog_start(&x->watchdog, x->domid, x->vm->vcpus,
					 x->vm->reply_timeout_ms);
	if (ret < 0)
		return ret;
	set_caps(x->vm);
	xen_pt_caps(x);
	ret = xen_events_open(x->vm);
	return ret < 0 ? ret : xen_watch_start(x);
}

static int xen_open(struct scry_vm *vm, const char *address)
{
	struct xen_vm *x = xen_new(vm);
	int ret;

	if (!x)
		return scry_fail(SCRY_E_NOMEM, "out of memory while opening %s", address);
	ret = attach(x, address);
	if (ret < 0) {
		xen_close(vm);
		return ret;
	}
	return 0;
}

const struct scry_driver scry_driver_xen = {
	.scheme = "xen",
	.open = xen_open,
	.close = xen_close,
	.list = xen_list,
	.map = xen_map,
	.reach = xen_reach,
	.write = xen_write,
	.vcpu_stop = xen_vcpu_stop,
	.vcpu_go = xen_vcpu_go,
	.regs_get = xen_regs_get,
	.regs_set = xen_regs_set,
	.msr_get = xen_msr_get,
	.msr_set = xen_msr_set,
	.xsave_get = xen_xsave_get,
	.xsave_set = xen_xsave_set,
	.inject = xen_inject,
	.vcpu_waits = xen_vcpu_waits,
	.subscribe = xen_subscribe,
	.unsubscribe = xen_unsubscribe,
	.event_wait = xen_event_wait,
	.event_times = xen_event_times,
	.event_fd = xen_event_fd,
	.reply = xen_reply,
	.view_create = xen_view_create,
	.view_destroy = xen_view_destroy,
	.view_protect = xen_view_protect,
	.view_remap = xen_view_remap,
	.view_switch = xen_view_switch,
	.frame_create = xen_frame_create,
	.frame_destroy = xen_frame_destroy,
	.pt_start = xen_pt_start,
	.pt_read = xen_pt_read,
	.pt_stop = xen_pt_stop,
	.breakpoint_add = xen_breakpoint_add,
	.breakpoint_remove = xen_breakpoint_remove,
};
