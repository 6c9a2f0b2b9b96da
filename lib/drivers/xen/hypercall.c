/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hypercall.h"

#include <xen/sys/privcmd.h>

#define ARGUMENT    XEN_PAGE_SIZE	/* bytes of the buffer before the list */
#define BUFFER_SIZE (ARGUMENT + XEN_HYPER_LIST)

#define MSI_ADDRESS    UINT64_C(0xfee00000)
#define APIC_ID(vcpu)  ((uint64_t)(vcpu) * 2)	/* as Xen numbers them */

/* Interface versions of domctl whose parts used here have the layout of 4.17's (0x15). */
#define DOMCTL_FIRST 0x13
#define DOMCTL_LAST  0x19

static int failed(void)
{
	return errno ? -errno : -EIO;
}

static int call(struct xen_hyper *h, uint64_t number, uint64_t first, uint64_t second)
{
	struct privcmd_hypercall hypercall = { .op = number, .arg = { first, second } };
	int ret = ioctl(h->privcmd, IOCTL_PRIVCMD_HYPERCALL, &hypercall);

	return ret < 0 ? failed() : ret;
}

static uint64_t address(const struct xen_hyper *h, size_t offset)
{
	return (uint64_t)(uintptr_t)h->buffer + offset;
}

/* Memory that stays where it is: the kernel's own for this, or locked. */
static unsigned char *get_buffer(void)
{
	int fd = open("/dev/xen/hypercall", O_RDWR | O_CLOEXEC);
	void *p = MAP_FAILED;

	if (fd >= 0) {
		p = mmap(NULL, BUFFER_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		close(fd);
	}
	if (p == MAP_FAILED)
		p = mmap(NULL, BUFFER_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

static int domctl(struct xen_hyper *h, struct xen_domctl *op)
{
	int ret;

	op->interface_version = h->domctl_version;
	memcpy(h->buffer, op, sizeof(*op));
	ret = call(h, __HYPERVISOR_domctl, address(h, 0), 0);
	memcpy(op, h->buffer, sizeof(*op));
	return ret;
}

/* Xen refuses what is of another version with EACCES, before it looks at anything else. */
static int find_version(struct xen_hyper *h)
{
	int ret = -EACCES;

	for (uint32_t v = DOMCTL_FIRST; v <= DOMCTL_LAST && ret == -EACCES; v++) {
		struct xen_domctl op = { .cmd = XEN_DOMCTL_vm_event_op, .domain = DOMID_INVALID };

		op.u.vm_event_op.op = XEN_VM_EVENT_GET_VERSION;
		op.u.vm_event_op.mode = XEN_DOMCTL_VM_EVENT_OP_MONITOR;
		h->domctl_version = v;
		ret = domctl(h, &op);
		if (!ret && op.u.vm_event_op.u.version != VM_EVENT_INTERFACE_VERSION)
			ret = -EPROTO;
	}
	return ret == -EACCES ? -EPROTO : ret;
}

int xen_hyper_open(struct xen_hyper *h, unsigned domid)
{
	int ret;

	*h = (struct xen_hyper){ .domid = domid };
	pthread_mutex_init(&h->lock, NULL);
	h->privcmd = open("/dev/xen/privcmd", O_RDWR | O_CLOEXEC);
	if (h->privcmd < 0)
		h->privcmd = open("/proc/xen/privcmd", O_RDWR | O_CLOEXEC);
	if (h->privcmd < 0)
		return failed();
	h->buffer = get_buffer();
	ret = h->buffer ? find_version(h) : -ENOMEM;
	if (ret < 0)
		xen_hyper_close(h);
	return ret;
}

void xen_hyper_close(struct xen_hyper *h)
{
	if (h->buffer)
		munmap(h->buffer, BUFFER_SIZE);
	h->buffer = NULL;
	if (h->privcmd >= 0)
		close(h->privcmd);
	h->privcmd = -1;
}

int xen_hyper_domctl(struct xen_hyper *h, struct xen_domctl *op)
{
	int ret;

	op->domain = (domid_t)h->domid;
	pthread_mutex_lock(&h->lock);
	ret = domctl(h, op);
	pthread_mutex_unlock(&h->lock);
	return ret;
}

int xen_hyper_domctl_plain(struct xen_hyper *h, uint32_t cmd)
{
	struct xen_domctl op = { .cmd = cmd };

	return xen_hyper_domctl(h, &op);
}

/* With the lock held: a call whose argument is a structure and what comes back of it. */
static int call_with(struct xen_hyper *h, uint64_t number, uint64_t op, void *argument,
		     size_t size)
{
	int ret;

	memcpy(h->buffer, argument, size);
	ret = call(h, number, op, address(h, 0));
	memcpy(argument, h->buffer, size);
	return ret;
}

int xen_hyper_altp2m(struct xen_hyper *h, struct xen_hvm_altp2m_op *op)
{
	int ret;

	op->version = HVMOP_ALTP2M_INTERFACE_VERSION;
	op->domain = (domid_t)h->domid;
	pthread_mutex_lock(&h->lock);
	ret = call_with(h, __HYPERVISOR_hvm_op, HVMOP_altp2m, op, sizeof(*op));
	pthread_mutex_unlock(&h->lock);
	return ret;
}

int xen_hyper_altp2m_access(struct xen_hyper *h, unsigned view, const uint64_t *gfns,
			    const uint8_t *accesses, uint32_t count)
{
	struct xen_hvm_altp2m_op op = { .version = HVMOP_ALTP2M_INTERFACE_VERSION,
					.cmd = HVMOP_altp2m_set_mem_access_multi,
					.domain = (domid_t)h->domid };
	unsigned char *list = h->buffer + ARGUMENT;
	int ret;

	op.u.set_mem_access_multi.view = (uint16_t)view;
	op.u.set_mem_access_multi.nr = count;
	pthread_mutex_lock(&h->lock);
	memcpy(list, gfns, count * sizeof(*gfns));
	memcpy(list + count * sizeof(*gfns), accesses, count);
	set_xen_guest_handle_raw(op.u.set_mem_access_multi.pfn_list, (uint64_t *)list);
	set_xen_guest_handle_raw(op.u.set_mem_access_multi.access_list, list + count * sizeof(*gfns));
	ret = call_with(h, __HYPERVISOR_hvm_op, HVMOP_altp2m, &op, sizeof(op));
	pthread_mutex_unlock(&h->lock);
	return ret;
}

static int param(struct xen_hyper *h, uint64_t op, struct xen_hvm_param *param)
{
	int ret;

	param->domid = (domid_t)h->domid;
	pthread_mutex_lock(&h->lock);
	ret = call_with(h, __HYPERVISOR_hvm_op, op, param, sizeof(*param));
	pthread_mutex_unlock(&h->lock);
	return ret;
}

int xen_hyper_param_get(struct xen_hyper *h, uint32_t index, uint64_t *value)
{
	struct xen_hvm_param p = { .index = index };
	int ret = param(h, HVMOP_get_param, &p);

	*value = p.value;
	return ret;
}

int xen_hyper_param_set(struct xen_hyper *h, uint32_t index, uint64_t value)
{
	struct xen_hvm_param p = { .index = index, .value = value };

	return param(h, HVMOP_set_param, &p);
}

int xen_hyper_frame(struct xen_hyper *h, unsigned cmd, uint64_t gfn)
{
	struct xen_memory_reservation r = { .nr_extents = 1, .domid = (domid_t)h->domid };
	int ret;

	pthread_mutex_lock(&h->lock);
	memcpy(h->buffer + ARGUMENT, &gfn, sizeof(gfn));
	set_xen_guest_handle_raw(r.extent_start, (xen_pfn_t *)(h->buffer + ARGUMENT));
	ret = call_with(h, __HYPERVISOR_memory_op, cmd, &r, sizeof(r));
	pthread_mutex_unlock(&h->lock);
	/* It tells how many it did. */
	return ret == 1 ? 0 : ret < 0 ? ret : -ENOMEM;
}

int xen_hyper_map(struct xen_hyper *h, uint64_t gfn, void *at)
{
	xen_pfn_t pfn = gfn;
	int err = 0;
	struct privcmd_mmapbatch_v2 batch = {
		.num = 1, .dom = (domid_t)h->domid, .addr = (uintptr_t)at, .arr = &pfn, .err = &err,
	};
	void *p = mmap(at, XEN_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		       h->privcmd, 0);

	if (p == MAP_FAILED)
		return failed();
	if (ioctl(h->privcmd, IOCTL_PRIVCMD_MMAPBATCH_V2, &batch) < 0)
		return failed();
	return err;
}

static int dm_op(struct xen_hyper *h, struct xen_dm_op *op)
{
	struct privcmd_dm_op_buf buf = { .uptr = op, .size = sizeof(*op) };
	struct privcmd_dm_op dm = { .dom = (domid_t)h->domid, .num = 1, .ubufs = &buf };

	return ioctl(h->privcmd, IOCTL_PRIVCMD_DM_OP, &dm) < 0 ? failed() : 0;
}

int xen_hyper_inject(struct xen_hyper *h, unsigned vcpu, const struct xen_injected *injected)
{
	struct xen_dm_op op = { .op = XEN_DMOP_inject_event };

	op.u.inject_event.vcpuid = vcpu;
	op.u.inject_event.vector = injected->vector;
	op.u.inject_event.type = injected->type;
	op.u.inject_event.insn_len = injected->insn_len;
	op.u.inject_event.error_code = injected->error_code;
	op.u.inject_event.cr2 = injected->cr2;
	return dm_op(h, &op);
}

int xen_hyper_interrupt(struct xen_hyper *h, unsigned vcpu, uint8_t vector)
{
	struct xen_dm_op op = { .op = XEN_DMOP_inject_msi };

	op.u.inject_msi.addr = MSI_ADDRESS | APIC_ID(vcpu) << 12;
	op.u.inject_msi.data = vector;
	return dm_op(h, &op);
}

struct xen_domctl_getvcpuinfo xen_hyper_vcpu(struct xen_hyper *h, unsigned vcpu)
{
	struct xen_domctl op = { .cmd = XEN_DOMCTL_getvcpuinfo };

	op.u.getvcpuinfo.vcpu = vcpu;
	if (xen_hyper_domctl(h, &op) < 0)
		op.u.getvcpuinfo.blocked = 1;
	return op.u.getvcpuinfo;
}

int xen_hyper_record(struct xen_hyper *h, unsigned type, unsigned vcpu, void *record, size_t size)
{
	struct xen_domctl op = { .cmd = XEN_DOMCTL_gethvmcontext_partial,
				 .domain = (domid_t)h->domid };
	int ret;

	op.u.hvmcontext_partial.type = type;
	op.u.hvmcontext_partial.instance = vcpu;
	op.u.hvmcontext_partial.bufsz = size;
	pthread_mutex_lock(&h->lock);
	set_xen_guest_handle_raw(op.u.hvmcontext_partial.buffer, h->buffer + ARGUMENT);
	ret = domctl(h, &op);
	memcpy(record, h->buffer + ARGUMENT, size);
	pthread_mutex_unlock(&h->lock);
	return ret;
}
