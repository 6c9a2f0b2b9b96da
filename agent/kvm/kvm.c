/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <sys/ioctl.h>

#include "agent/accel.h"
#include "agent/event/arm.h"
#include "agent/event/inject.h"
#include "agent/event/power.h"
#include "agent/memory/view.h"
#include "agent/refuse.h"
#include "kvm.h"
#include "ram.h"
#include "selftest.h"
#include "slot.h"

static int init(uint64_t plugin_id, unsigned most)
{
	(void)plugin_id;
	(void)most;
	if (kvm_dirty_init() < 0 || power_init() < 0)
		return -1;
	return kvm_hook_init();
}

static const char *leave(void)
{
	if (ram_is_trapped())
		return STAYS;
	ram_unwatch();
	kvm_hook_leave();
	for (unsigned i = 0; i < kvm.vcpus; i++)
		kvm.vcpu[i].run->kvm_valid_regs = 0;
	return NULL;
}

static bool has(int cap)
{
	return kvm_ioctl(kvm.fd, KVM_CHECK_EXTENSION, (void *)(intptr_t)cap) > 0;
}

static void lacks(struct scry_agent_caps *caps, enum scry_cap cap, const char *why)
{
	caps->cap[cap].supported = 0;
	snprintf(caps->cap[cap].reason, sizeof(caps->cap[cap].reason), "%s", why);
}

#define IN_KERNEL \
	"stock KVM handles it in the kernel, and tells nobody: use -accel tcg, or a KVMI kernel"
#define BY_SITES \
	"stock KVM tells nobody; in the text of a Linux guest's kernel, not its modules, BPF or " \
	"user space, by breakpoints: scry trace --sites FUNCTION"

/* What KVM keeps to itself. */
static void caps_of_kernel(struct scry_agent_caps *caps)
{
	static const enum scry_cap in_kernel[] = {
		SCRY_CAP_EVENT_RDTSC, SCRY_CAP_EVENT_INVLPG,
		SCRY_CAP_EVENT_SYSCALL, SCRY_CAP_EVENT_INTERRUPT,
	};
	static const enum scry_cap by_sites[] = {
		SCRY_CAP_EVENT_CR_WRITE, SCRY_CAP_EVENT_CR_READ, SCRY_CAP_EVENT_CPUID,
		SCRY_CAP_EVENT_XSETBV, SCRY_CAP_EVENT_DR_READ, SCRY_CAP_EVENT_DR_WRITE,
		SCRY_CAP_EVENT_DESCRIPTOR, SCRY_CAP_EVENT_HYPERCALL,
	};

	for (size_t i = 0; i < sizeof(by_sites) / sizeof(by_sites[0]); i++)
		lacks(caps, by_sites[i], BY_SITES);
	for (size_t i = 0; i < sizeof(in_kernel) / sizeof(in_kernel[0]); i++)
		lacks(caps, in_kernel[i], IN_KERNEL);
	lacks(caps, SCRY_CAP_PT, "under KVM the packets are the processor's own: use -accel tcg to "
	      "have them made");
}

static void caps_of_hlt(struct scry_agent_caps *caps)
{
	const char *why = kvm_hlt_lacks();

	if (why)
		lacks(caps, SCRY_CAP_EVENT_HLT, why);
}

static void note(struct scry_agent_caps *caps, enum scry_cap cap, const char *text)
{
	snprintf(caps->cap[cap].reason, sizeof(caps->cap[cap].reason), "%s", text);
}

#define MSRS "of those at 0, 0x40000000, 0x4b564d00, 0xc0000000 and 0xc0010000, but not x2APIC's"

static void caps_of_msrs(struct scry_agent_caps *caps)
{
	static const enum scry_cap both[] = { SCRY_CAP_EVENT_MSR_READ, SCRY_CAP_EVENT_MSR_WRITE };
	bool filters = has(KVM_CAP_X86_USER_SPACE_MSR) && has(KVM_CAP_X86_MSR_FILTER);

	for (size_t i = 0; i < sizeof(both) / sizeof(both[0]); i++)
		if (filters)
			note(caps, both[i], MSRS);
		else
			lacks(caps, both[i], "this kernel's KVM has no MSR filter: 5.10 has");
}

/* What needs the second mapping of RAM. */
static void caps_of_traps(struct scry_agent_caps *caps)
{
	const char *why = ram_lacks();

	note(caps, SCRY_CAP_VIEWS, "all vCPUs are in one view");
	note(caps, SCRY_CAP_EVENT_MMIO, "but of the local APIC where the processor virtualises it");
	if (why) {
		lacks(caps, SCRY_CAP_EVENT_MMIO, why);
		lacks(caps, SCRY_CAP_EVENT_MEMORY, why);
		lacks(caps, SCRY_CAP_VIEWS, why);
	}
	note(caps, SCRY_CAP_EVENT_BREAKPOINT, why ?
	     "at four addresses at a time: for others memory would have to be trapped" :
	     "fast at four addresses, and in the kernel where it may be seen; of the others all that "
	     "is executed in the page is stepped");
}

static void caps_of_watchpoints(struct scry_agent_caps *caps)
{
	const char *why = kvm_watches_nothing();

	if (why)
		lacks(caps, SCRY_CAP_EVENT_WATCHPOINT, why);
	else
		note(caps, SCRY_CAP_EVENT_WATCHPOINT, "in the debug registers that the guest does not use "
		     "itself");
}

static void caps(struct scry_agent_caps *caps)
{
	caps_of_kernel(caps);
	caps_of_hlt(caps);
	caps_of_msrs(caps);
	caps_of_traps(caps);
	caps_of_watchpoints(caps);
	note(caps, SCRY_CAP_EVENT_STEP, "interrupts are always held back");
	note(caps, SCRY_CAP_EVENT_IO, "of ports that QEMU serves, not those that KVM does (PIC, PIT)");
	if (!(kvm_ioctl(kvm.fd, KVM_CHECK_EXTENSION, (void *)KVM_CAP_SET_GUEST_DEBUG2) &
	      KVM_GUESTDBG_BLOCKIRQ))
		lacks(caps, SCRY_CAP_EVENT_STEP, "this kernel's KVM cannot step with interrupts "
		      "blocked: 5.15 can");
	note(caps, SCRY_CAP_EVENT_START, "of processors that have not run since the machine's reset");
}

static void step_out(struct vcpu *vcpu)
{
	kvm_finish(kvm_of(vcpu));
}

static bool step_in(struct vcpu *vcpu)
{
	struct kvm_regs regs;

	return kvm_ioctl(kvm_of(vcpu)->fd, KVM_GET_REGS, &regs) == 0 && regs.rip == vcpu->rip;
}

/* It is taken in front of KVM_RUN. */
static void inject_next(struct vcpu *vcpu, const struct scry_exception *exception)
{
	vcpu->injection = *exception;
	vcpu->injects = true;
	if (!kvm_halts_in_qemu())
		return;
	bql_lock();
	cpu_put32(vcpu->cpu, cpu_layout.halted, 0);
	qemu.bql_unlock();
}

static const char *subscription_lacks(const struct scry_subscription *sub)
{
	switch (sub->kind) {
	case SCRY_EVENT_MSR_READ:
	case SCRY_EVENT_MSR_WRITE:
		return kvm_msr_lacks(sub);
	case SCRY_EVENT_STEP:
	case SCRY_EVENT_INT3:
		return kvm_debug_lacks();
	default:
		return NULL;
	}
}

static void filters_changed(struct qemu_cpu *cpu, const struct filters *filters)
{
	static const struct filters none;
	static bool msrs;
	uint32_t kinds = filters ? filters->kinds : 0;
	bool wants = kinds & (1u << SCRY_EVENT_MSR_READ | 1u << SCRY_EVENT_MSR_WRITE);

	(void)cpu;
	if (wants || msrs)
		kvm_msr_arm(filters ? filters : &none);
	msrs = wants;
	kvm_debug_arm(filters);
}

static void breakpoints_changed(struct qemu_cpu *cpu, bool known)
{
	(void)cpu;
	(void)known;
	kvm_debug_arm(arm_filters());
}

static void watchpoints_changed(void)
{
	kvm_debug_arm(arm_filters());
}

static uint64_t physical(const struct vcpu *vcpu, uint64_t address)
{
	uint64_t gpa;

	return kvm_physical(kvm_of(vcpu), address, &gpa) ? gpa : ~UINT64_C(0);
}

static const char *enter(struct vcpu *vcpu, unsigned view)
{
	unsigned back = vcpu->view;
	const char *why;

	vcpu_step_out(vcpu);
	qemu.start_exclusive();
	why = ram_enter(view);
	if (why)
		ram_enter(back);
	qemu.end_exclusive();
	return why;
}

/* One instruction in it, which is stepped. */
static void step_into(struct vcpu *vcpu, unsigned view)
{
	struct kvcpu *k = kvm_of(vcpu);

	vcpu_step_out(vcpu);
	k->steps_in = true;
	k->step_view = view;
}

const struct accel accel_kvm = {
	.name = "KVM",
	.one_view = true,
	.init = init,
	.learn = kvm_learn,
	.leave = leave,
	.caps = caps,
	.clocks = kvm_clocks,
	.settle = kvm_settle,
	.step_out = step_out,
	.step_in = step_in,
	.regs_get = kvm_regs_get,
	.regs_put = kvm_regs_put,
	.msr_read = kvm_msr_read,
	.msr_write = kvm_msr_write,
	.xcr0 = kvm_xcr0,
	.xsave_get = kvm_xsave_get,
	.xsave_put = kvm_xsave_put,
	.waits_for_start = kvm_waits_for_start,
	.inject = inject_next,
	.physical = physical,
	.view_enter = enter,
	.view_step = step_into,
	.subscription_lacks = subscription_lacks,
	.filters_changed = filters_changed,
	.breakpoint_plant = kvm_breakpoint_plant,
	.breakpoint_lift = kvm_breakpoint_lift,
	.breakpoints_changed = breakpoints_changed,
	.watchpoint_plant = kvm_watchpoint_plant,
	.watchpoint_lift = kvm_watchpoint_lift,
	.watchpoints_changed = watchpoints_changed,
	.views_changed = ram_apply,
	.view_lacks = ram_lacks_at,
};
