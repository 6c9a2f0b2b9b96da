/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "events.h"

/*
 * Xen's vmtrace: Intel PT of a vCPU into a buffer that the domain was made with.  The
 * call for the position in it fails alike where the domain has no buffer and where
 * the processor cannot trace; what the machine can Xen tells apart.
 */

#define RTIT_CTL       0x570u		/* Intel SDM volume 3, 33.2.8.2; what Xen lets be set of it */
#define CTL_OS         (1u << 2)
#define CTL_USER       (1u << 3)
#define CTL_DIS_RETC   (1u << 11)	/* returns are not compressed */
#define CTL_BRANCH_EN  (1u << 13)

#define NOTE "only by privilege level, into the buffer that the VM was made with; what is not read " \
	     "in time is lost untold; never run on such a processor"

/* Other releases' structure may be longer than this one's. */
union physical {
	xc_physinfo_t info;
	char room[1024];
};

static bool can_trace(struct xen_vm *x)
{
	union physical physical = { 0 };

	return x->host.libraries.xc_physinfo(x->host.xc, &physical.info) == 0 &&
	       physical.info.capabilities & XEN_SYSCTL_PHYSCAP_vmtrace;
}

void xen_pt_caps(struct xen_vm *x)
{
	uint64_t position;
	char text[160];

	if (XEN_CALL(x, xc_vmtrace_output_position, 0, &position) < 0) {
		int error = errno;

		snprintf(text, sizeof(text), "%s; Xen's vmtrace says: %s", can_trace(x) ?
			 "this VM was made without a buffer for it (vmtrace_buf_kb)" :
			 "not on this processor, which cannot write a guest's packets for Xen",
			 strerror(error));
		scry_cap_set(x->vm, SCRY_CAP_PT, false, text);
		return;
	}
	scry_cap_set(x->vm, SCRY_CAP_PT, true, NOTE);
}

static int trace_op(struct xen_vm *x, unsigned vcpu, uint32_t cmd, uint64_t value)
{
	struct xen_domctl op = { .cmd = XEN_DOMCTL_vmtrace_op };

	op.u.vmtrace_op.cmd = cmd;
	op.u.vmtrace_op.vcpu = vcpu;
	op.u.vmtrace_op.key = RTIT_CTL;
	op.u.vmtrace_op.value = value;
	return xen_hyper_domctl(&x->events->hyper, &op);
}

static int failed(struct xen_vm *x, const char *what, int error)
{
	return scry_fail(error == -ESRCH ? SCRY_E_GONE : SCRY_E_IO, "Xen's vmtrace cannot %s of VM %s: "
			 "%s", what, x->vm->name, strerror(-error));
}

static void unmap(struct xen_vm *x, struct xen_trace *t)
{
	if (t->resource)
		x->host.libraries.xenforeignmemory_unmap_resource(x->memory, t->resource);
	*t = (struct xen_trace){ 0 };
}

void xen_pt_free(struct xen_vm *x)
{
	for (unsigned i = 0; i < SCRY_MAX_VCPUS; i++)
		unmap(x, &x->trace[i]);
}

static int map(struct xen_vm *x, unsigned vcpu)
{
	struct xen_trace *t = &x->trace[vcpu];
	size_t size = 0;
	void *at = NULL;

	unmap(x, t);
	if (x->host.libraries.xenforeignmemory_resource_size(x->memory, (domid_t)x->domid,
							     XENMEM_resource_vmtrace_buf, vcpu,
							     &size) < 0 || !size)
		return size ? -errno : -ENODEV;
	t->resource = x->host.libraries.xenforeignmemory_map_resource(
		x->memory, (domid_t)x->domid, XENMEM_resource_vmtrace_buf, vcpu, 0,
		size / XEN_PAGE_SIZE, &at, PROT_READ, 0);
	if (!t->resource)
		return -errno;
	t->ring = (struct xen_trace_ring){ .bytes = at, .size = size };
	return 0;
}

static int begin(struct xen_vm *x, unsigned vcpu, uint64_t control)
{
	_Atomic uint64_t *tracing = &x->watchdog.shared->tracing;
	int ret = map(x, vcpu);

	if (!ret)
		ret = trace_op(x, vcpu, XEN_DOMCTL_vmtrace_set_option, control);
	if (ret)
		return ret;
	/* Noted before it is done: the watchdog ends it with this process. */
	atomic_fetch_or(tracing, UINT64_C(1) << vcpu);
	ret = trace_op(x, vcpu, XEN_DOMCTL_vmtrace_reset_and_enable, 0);
	if (ret)
		atomic_fetch_and(tracing, ~(UINT64_C(1) << vcpu));
	return ret;
}

static int stop(struct xen_vm *x)
{
	_Atomic uint64_t *tracing = &x->watchdog.shared->tracing;
	int ret = 0;

	for (unsigned i = 0; i < x->vm->vcpus; i++)
		if (*tracing >> i & 1) {
			int one = trace_op(x, i, XEN_DOMCTL_vmtrace_disable, 0);

			ret = one ? one : ret;
			atomic_fetch_and(tracing, ~(UINT64_C(1) << i));
		}
	return ret ? failed(x, "end the trace", ret) : 0;
}

static int start(struct xen_vm *x, const struct scry_pt_opts *opts)
{
	uint64_t vcpus = opts->vcpus ? opts->vcpus : UINT64_MAX >> (64 - x->vm->vcpus);
	bool all = !(opts->flags & SCRY_PT_KERNEL) == !(opts->flags & SCRY_PT_USER);
	uint64_t control = CTL_DIS_RETC | CTL_BRANCH_EN |
			   (all || opts->flags & SCRY_PT_KERNEL ? CTL_OS : 0) |
			   (all || opts->flags & SCRY_PT_USER ? CTL_USER : 0);

	if (x->watchdog.shared->tracing)
		return scry_fail(SCRY_E_BUSY, "VM %s is traced already", x->vm->name);
	for (unsigned i = 0; i < x->vm->vcpus; i++) {
		int ret = vcpus >> i & 1 ? begin(x, i, control) : 0;

		if (!ret)
			continue;
		stop(x);
		/* It is on already, for another tool. */
		return ret == -EINVAL ? scry_fail(SCRY_E_BUSY, "another tool traces vCPU %u of VM %s", i,
						  x->vm->name) : failed(x, "begin a trace", ret);
	}
	return 0;
}

int xen_pt_start(struct scry_vm *vm, const struct scry_pt_opts *opts)
{
	struct xen_vm *x = xen_of(vm);
	int ret = xen_events_ended(x->events);

	if (ret < 0)
		return ret;
	if (opts->flags & (SCRY_PT_CR3 | SCRY_PT_RANGE))
		return scry_fail(SCRY_E_UNSUPPORTED, "Xen's vmtrace has no filter by CR3 or address, only "
				 "by privilege level");
	pthread_mutex_lock(&x->events->lock);
	ret = start(x, opts);
	pthread_mutex_unlock(&x->events->lock);
	return ret;
}

/* The vCPU stands still for the call: what is before the position has been written. */
int64_t xen_pt_read(struct scry_vm *vm, unsigned vcpu, void *buf, size_t len)
{
	struct xen_vm *x = xen_of(vm);
	int64_t n = xen_events_ended(x->events);
	uint64_t position = 0;

	if (n < 0)
		return n;
	if (!x->trace[vcpu].resource)
		return scry_fail(SCRY_E_STATE, "vCPU %u of VM %s has not been traced", vcpu, vm->name);
	if (XEN_CALL(x, xc_vmtrace_output_position, vcpu, &position) < 0)
		return xen_failed(x, "read its packets");
	n = xen_trace_take(&x->trace[vcpu].ring, position, buf, len);
	return n < 0 ? scry_fail(SCRY_E_PROTOCOL, "Xen names %#llx as a place in a buffer of %#llx bytes",
				 (unsigned long long)position,
				 (unsigned long long)x->trace[vcpu].ring.size) : n;
}

int xen_pt_stop(struct scry_vm *vm)
{
	struct xen_vm *x = xen_of(vm);
	int ret;

	pthread_mutex_lock(&x->events->lock);
	ret = stop(x);
	pthread_mutex_unlock(&x->events->lock);
	return ret;
}
