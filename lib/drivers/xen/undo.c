/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/mman.h>
#include <time.h>

#include "ring.h"
#include "step.h"
#include "undo.h"

#define INT3 0xcc

static void sleep_ms(long ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&ts, NULL);
}

static int domain_info(struct xen_hyper *h, struct xen_domctl_getdomaininfo *info)
{
	struct xen_domctl op = { .cmd = XEN_DOMCTL_getdomaininfo };
	int ret = xen_hyper_domctl(h, &op);

	*info = op.u.getdomaininfo;
	return ret < 0 ? ret : info->domain == h->domid ? 0 : -ESRCH;
}

static bool has_any_of(struct xen_hyper *h, uint32_t flags)
{
	struct xen_domctl_getdomaininfo info;
	int ret = domain_info(h, &info);

	return ret == -ESRCH || (!ret && info.flags & flags);
}

bool xen_domain_gone(struct xen_hyper *h)
{
	return has_any_of(h, XEN_DOMINF_dying);
}

bool xen_domain_down(struct xen_hyper *h)
{
	return has_any_of(h, XEN_DOMINF_dying | XEN_DOMINF_shutdown);
}

static void monitor_off(struct xen_hyper *h, uint32_t event, uint32_t argument)
{
	struct xen_domctl op = { .cmd = XEN_DOMCTL_monitor_op };

	op.u.monitor_op.op = XEN_DOMCTL_MONITOR_OP_DISABLE;
	op.u.monitor_op.event = event;
	if (event == XEN_DOMCTL_MONITOR_EVENT_WRITE_CTRLREG)
		op.u.monitor_op.u.mov_to_cr.index = (uint8_t)argument;
	else
		op.u.monitor_op.u.mov_to_msr.msr = argument;
	/* What was not on is no matter. */
	xen_hyper_domctl(h, &op);
}

static void msrs_off(struct xen_hyper *h, struct xen_shared *s)
{
	for (unsigned i = 0; i < XEN_MSR_GROUPS; i++)
		for (uint32_t n = 0; n < 0x2000; n++)
			if (s->msrs[i][n / 64] >> n % 64 & 1)
				monitor_off(h, XEN_DOMCTL_MONITOR_EVENT_MOV_TO_MSR,
					    xen_msr_first(i) + n);
}

static void monitors_off(struct xen_hyper *h, struct xen_shared *s)
{
	static const uint32_t events[] = {
		XEN_DOMCTL_MONITOR_EVENT_SINGLESTEP, XEN_DOMCTL_MONITOR_EVENT_SOFTWARE_BREAKPOINT,
		XEN_DOMCTL_MONITOR_EVENT_GUEST_REQUEST, XEN_DOMCTL_MONITOR_EVENT_DEBUG_EXCEPTION,
		XEN_DOMCTL_MONITOR_EVENT_CPUID, XEN_DOMCTL_MONITOR_EVENT_DESC_ACCESS,
	};

	for (uint32_t cr = VM_EVENT_X86_CR0; cr <= VM_EVENT_X86_XCR0; cr++)
		monitor_off(h, XEN_DOMCTL_MONITOR_EVENT_WRITE_CTRLREG, cr);
	for (unsigned i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		monitor_off(h, events[i], 0);
	msrs_off(h, s);
}

static void views_off(struct xen_hyper *h)
{
	struct xen_hvm_altp2m_op op = { .cmd = HVMOP_altp2m_set_domain_state };

	xen_hyper_altp2m(h, &op);
}

static void steps_off(struct xen_hyper *h, const struct xen_shared *s)
{
	uint64_t stepped = s->stepping | s->halting;

	for (unsigned vcpu = 0; vcpu < s->vcpus; vcpu++) {
		xen_step(h, vcpu, false);
		if (stepped >> vcpu & 1 && xen_hyper_vcpu(h, vcpu).blocked)
			xen_wake(h, vcpu);
	}
}

static void traces_off(struct xen_hyper *h, const struct xen_shared *s)
{
	struct xen_domctl op = { .cmd = XEN_DOMCTL_vmtrace_op };

	op.u.vmtrace_op.cmd = XEN_DOMCTL_vmtrace_disable;
	for (op.u.vmtrace_op.vcpu = 0; op.u.vmtrace_op.vcpu < s->vcpus; op.u.vmtrace_op.vcpu++)
		if (s->tracing >> op.u.vmtrace_op.vcpu & 1)
			xen_hyper_domctl(h, &op);
}

/* Is there an int3 in the guest's own memory, or was it ours, in a view? */
static bool is_guests_int3(struct xen_hyper *h, const vm_event_request_t *r)
{
	uint64_t offset = r->data.regs.x86.rip % XEN_PAGE_SIZE;
	unsigned char *page = mmap(NULL, XEN_PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
				   0);
	bool guests;

	if (page == MAP_FAILED)
		return true;
	guests = xen_hyper_map(h, r->u.software_breakpoint.gfn, page) < 0 ||
		 page[offset] == INT3 || r->u.software_breakpoint.insn_length != 1;
	munmap(page, XEN_PAGE_SIZE);
	return guests;
}

static void inject(struct xen_hyper *h, const vm_event_request_t *r, uint8_t vector)
{
	const struct xen_injected injected = {
		.vector = vector, .type = r->u.debug_exception.type,
		.insn_len = (uint8_t)r->u.debug_exception.insn_length, .error_code = ~0u,
		.cr2 = r->u.debug_exception.pending_dbg,
	};

	xen_hyper_inject(h, r->vcpu_id, &injected);
}

/* Answer as if nobody had watched. */
static void answer(struct xen_hyper *h, struct xen_shared *s, void *page, unsigned vcpu)
{
	const vm_event_request_t *r = &s->vcpu[vcpu].request;
	vm_event_response_t response;

	xen_ring_response(r, &response);
	switch (r->reason) {
	case VM_EVENT_REASON_SOFTWARE_BREAKPOINT:
		if (is_guests_int3(h, r))
			inject(h, r, 3);
		break;
	case VM_EVENT_REASON_DEBUG_EXCEPTION:
		inject(h, r, 1);
		break;
	case VM_EVENT_REASON_CPUID:
		response.data.regs.x86 = r->data.regs.x86;
		response.data.regs.x86.rip += r->u.cpuid.insn_length;
		response.flags |= VM_EVENT_FLAG_SET_REGISTERS;
		break;
	}
	xen_ring_answer(s, page, vcpu, &response);
}

static void answer_all(struct xen_hyper *h, struct xen_shared *s, void *page)
{
	struct xen_domctl op = { .cmd = XEN_DOMCTL_vm_event_op };
	unsigned vcpu;

	while (xen_ring_take(s, page, &vcpu))
		;
	for (vcpu = 0; vcpu < s->vcpus; vcpu++)
		if (s->vcpu[vcpu].waits)
			answer(h, s, page, vcpu);
	op.u.vm_event_op.op = XEN_VM_EVENT_RESUME;
	op.u.vm_event_op.mode = XEN_DOMCTL_VM_EVENT_OP_MONITOR;
	xen_hyper_domctl(h, &op);
}

/*
 * Xen keeps a write that it holds back, and registers to set, with the ring, until
 * the vCPU runs: close it earlier, and they are lost.  So wait, however long others
 * keep the domain paused.  One that is blocked is behind such an instruction, and one
 * that is down has none.
 */
static void wait_until_run(struct xen_hyper *h, const struct xen_shared *s,
			   const uint64_t *times)
{
	for (unsigned vcpu = 0; vcpu < s->vcpus; vcpu++) {
		struct xen_domctl_getvcpuinfo info = xen_hyper_vcpu(h, vcpu);

		while (s->vcpu[vcpu].answer && info.online && !info.blocked &&
		       info.cpu_time <= times[vcpu] && !xen_domain_down(h)) {
			sleep_ms(1);
			info = xen_hyper_vcpu(h, vcpu);
		}
	}
}

static int ring_off(struct xen_hyper *h)
{
	struct xen_domctl op = { .cmd = XEN_DOMCTL_vm_event_op };

	op.u.vm_event_op.op = XEN_VM_EVENT_DISABLE;
	op.u.vm_event_op.mode = XEN_DOMCTL_VM_EVENT_OP_MONITOR;
	return xen_hyper_domctl(h, &op);
}

/* Let all vCPUs go and close the ring; while more wait to get into it, once more. */
static void let_go(struct xen_hyper *h, struct xen_shared *s, void *page)
{
	uint64_t times[XEN_MAX_VCPUS];

	do {
		xen_hyper_domctl_plain(h, XEN_DOMCTL_pausedomain);
		for (unsigned vcpu = 0; vcpu < s->vcpus; vcpu++)
			times[vcpu] = xen_hyper_vcpu(h, vcpu).cpu_time;
		answer_all(h, s, page);
		xen_hyper_domctl_plain(h, XEN_DOMCTL_unpausedomain);
		wait_until_run(h, s, times);
	} while (ring_off(h) == -EBUSY);
	s->ring_on = 0;
}

static void frames_off(struct xen_hyper *h, struct xen_shared *s)
{
	struct xen_domctl op = { .cmd = XEN_DOMCTL_max_mem };

	for (uint64_t i = 0; i < s->frames; i++)
		xen_hyper_frame(h, XENMEM_decrease_reservation, s->frames_gfn + i);
	if (s->ring_is_own)
		xen_hyper_param_set(h, HVM_PARAM_MONITOR_RING_PFN, 0);
	op.u.max_mem.max_memkb = s->max_kb;
	if (s->max_kb)
		xen_hyper_domctl(h, &op);
	s->frames = 0;
}

void xen_undo(struct xen_hyper *h, struct xen_shared *s, void *page)
{
	xen_hyper_domctl_plain(h, XEN_DOMCTL_pausedomain);
	if (s->ring_on) {
		xen_ring_recover(s, page);
		monitors_off(h, s);
	}
	steps_off(h, s);
	traces_off(h, s);
	if (s->altp2m)
		views_off(h);
	s->altp2m = 0;
	for (; s->pauses; s->pauses--)
		xen_hyper_domctl_plain(h, XEN_DOMCTL_unpausedomain);
	xen_hyper_domctl_plain(h, XEN_DOMCTL_unpausedomain);
	if (s->ring_on)
		let_go(h, s, page);
	frames_off(h, s);
}
