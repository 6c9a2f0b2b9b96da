/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <cpuid.h>
#include <errno.h>
#include <string.h>

#include "events.h"

/* What this Xen, on this processor, can tell of: asked, and tried where asking is not enough. */

static uint32_t monitor_caps(struct xen_events *e)
{
	struct xen_domctl op = { .cmd = XEN_DOMCTL_monitor_op };

	op.u.monitor_op.op = XEN_DOMCTL_MONITOR_OP_GET_CAPABILITIES;
	return xen_hyper_domctl(&e->hyper, &op) < 0 ? 0 : op.u.monitor_op.event;
}

#define EXTERNAL_AT_CREATION 19	/* 4.19: a domain's altp2m mode is settled when it is made */

/*
 * Can a view be had?  Nothing is set for that: Xen says EINVAL of a domain whose mode is
 * off, and EOPNOTSUPP where there is none to be had.
 */
static bool has_altp2m(struct xen_events *e)
{
	struct xen_hvm_altp2m_op op = { .cmd = HVMOP_altp2m_get_domain_state };
	uint64_t mode = 0;
	int ret = xen_hyper_param_get(&e->hyper, HVM_PARAM_ALTP2M, &mode);

	if (ret < 0)
		return false;
	ret = xen_hyper_altp2m(&e->hyper, &op);
	if (mode)
		return ret == 0;
	return ret == -EINVAL && xen_of(e->vm)->host.libraries.minor < EXTERNAL_AT_CREATION;
}

#define INJECTED ", and what Xen is about to inject when a vCPU goes on from an event"

static void set_monitored(struct xen_events *e)
{
	static const struct {
		uint8_t event;
		enum scry_cap cap;
		const char *note;
	} caps[] = {
		{ XEN_DOMCTL_MONITOR_EVENT_WRITE_CTRLREG, SCRY_CAP_EVENT_CR_WRITE,
		  "only CR0, CR3 and CR4, and when the value changes" },
		{ XEN_DOMCTL_MONITOR_EVENT_WRITE_CTRLREG, SCRY_CAP_EVENT_XSETBV,
		  "only when the value changes" },
		{ XEN_DOMCTL_MONITOR_EVENT_MOV_TO_MSR, SCRY_CAP_EVENT_MSR_WRITE,
		  "MSRs up to 0x1fff, and 0xc0000000 to 0xc0001fff" },
		{ XEN_DOMCTL_MONITOR_EVENT_SINGLESTEP, SCRY_CAP_EVENT_STEP,
		  "only with interrupts held back but at HLT, behind which it begins anew some "
		  "ms later; an instruction that Xen carries out (CPUID) and the next are one" },
		{ XEN_DOMCTL_MONITOR_EVENT_SOFTWARE_BREAKPOINT, SCRY_CAP_EVENT_INT3, "" },
		{ XEN_DOMCTL_MONITOR_EVENT_DEBUG_EXCEPTION, SCRY_CAP_EVENT_INTERRUPT,
		  "only #DB (vector 1), #BP (3)" INJECTED },
		{ XEN_DOMCTL_MONITOR_EVENT_GUEST_REQUEST, SCRY_CAP_EVENT_HYPERCALL,
		  "only HVMOP_guest_request_vm_event" },
		{ XEN_DOMCTL_MONITOR_EVENT_CPUID, SCRY_CAP_EVENT_CPUID,
		  "what was in RBX and RDX is not known" },
		{ XEN_DOMCTL_MONITOR_EVENT_DESC_ACCESS, SCRY_CAP_EVENT_DESCRIPTOR, "" },
	};

	for (unsigned i = 0; i < sizeof(caps) / sizeof(caps[0]); i++) {
		bool there = e->monitor_caps >> caps[i].event & 1;

		scry_cap_set(e->vm, caps[i].cap, there, there ? caps[i].note :
			     "Xen cannot tell of it on this processor");
	}
}

/*
 * QEMU's TCG intercepts neither int3 nor XSETBV for an SVM hypervisor (7.2), whatever
 * Xen asks for.  A PV dom0 executes CPUID itself, and sees what Xen runs on.
 */
static bool is_in_tcg(void)
{
	unsigned eax, maker[3], vendor[3];

	__cpuid(0, eax, vendor[0], vendor[2], vendor[1]);
	__cpuid(0x40000000, eax, maker[0], maker[1], maker[2]);
	return !memcmp(maker, "TCGTCGTCGTCG", 12) && !memcmp(vendor, "AuthenticAMD", 12);
}

static void set_tcg(struct scry_vm *vm)
{
	static const char why[] = "this Xen runs in QEMU's TCG, which does not intercept it for Xen";

	if (!is_in_tcg())
		return;
	scry_cap_set(vm, SCRY_CAP_EVENT_INT3, false, why);
	scry_cap_set(vm, SCRY_CAP_EVENT_XSETBV, false, why);
	scry_cap_set(vm, SCRY_CAP_EVENT_INTERRUPT, true, "only #DB (vector 1)" INJECTED);
}

static void set_missing(struct scry_vm *vm)
{
	static const enum scry_cap missing[] = {
		SCRY_CAP_EVENT_MSR_READ, SCRY_CAP_EVENT_CR_READ, SCRY_CAP_EVENT_DR_READ,
		SCRY_CAP_EVENT_DR_WRITE, SCRY_CAP_EVENT_HLT,
		SCRY_CAP_EVENT_RDTSC, SCRY_CAP_EVENT_INVLPG, SCRY_CAP_EVENT_SYSCALL,
		SCRY_CAP_EVENT_SHUTDOWN, SCRY_CAP_EVENT_START,
	};

	for (unsigned i = 0; i < sizeof(missing) / sizeof(missing[0]); i++)
		scry_cap_set(vm, missing[i], false, "Xen's monitor has no such event");
	scry_cap_set(vm, SCRY_CAP_EVENT_MMIO, false, "Xen traps frames that have memory");
	scry_cap_set(vm, SCRY_CAP_EVENT_IO, false, "Xen's monitor has no such event before 4.18, and "
		     "that of 4.18 is not used yet");
	scry_cap_set(vm, SCRY_CAP_EVENT_WATCHPOINT, false, "Xen does not give the debug registers to "
		     "its tools: trap the page (mem:)");
}

static void set_views(struct xen_events *e)
{
	bool views = has_altp2m(e);
	bool steps = e->monitor_caps >> XEN_DOMCTL_MONITOR_EVENT_SINGLESTEP & 1;
	const char *why = "Xen has no altp2m for this VM: it needs a processor of Intel's, and Xen "
			  "started with altp2m=1; from 4.19 on also a domain made with "
			  "altp2m=external";

	scry_cap_set(e->vm, SCRY_CAP_VIEWS, views, views ? "only 9, those with remaps count twice" : why);
	scry_cap_set(e->vm, SCRY_CAP_EVENT_MEMORY, views, views ?
		     "only the first trapped access of an instruction; of a page that the guest had given "
		     "back some 20 ms after it has it again" : why);
	scry_cap_set(e->vm, SCRY_CAP_EVENT_BREAKPOINT, views && steps, !views ? why : steps ?
		     "only where the address is mapped when it is planted" :
		     "this processor has no monitor trap flag, to step over one");
}

void xen_events_caps(struct xen_events *e)
{
	e->monitor_caps = monitor_caps(e);
	set_monitored(e);
	set_tcg(e->vm);
	set_missing(e->vm);
	set_views(e);
}
