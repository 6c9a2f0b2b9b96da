/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kvm.h"

#define MSR_TSC 0x10

/* How the clocks stood when they were stopped. */
static struct {
	bool has_tsc, has_clock;
	uint64_t tsc;			/* of the first vCPU */
	struct kvm_clock_data clock;
} stood;

/*
 * By how much a vCPU's time-stamp counter is ahead of the host's.  Writing the MSR
 * instead would be taken for an attempt to synchronise it with what it would be.
 */
static bool offset(struct kvcpu *k, unsigned long request, uint64_t *value)
{
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (uintptr_t)value,
	};

	return kvm_ioctl(k->fd, request, &attr) == 0;
}

static void turn_back(uint64_t ticks)
{
	for (unsigned i = 0; i < kvm.vcpus; i++) {
		uint64_t value;

		if (!offset(&kvm.vcpu[i], KVM_GET_DEVICE_ATTR, &value))
			continue;
		value -= ticks;
		offset(&kvm.vcpu[i], KVM_SET_DEVICE_ATTR, &value);
	}
}

static void stop_all(struct qemu_cpu *cpu, void *unused)
{
	(void)cpu;
	(void)unused;
	stood.has_tsc = kvm_msr_read(&vcpus[0], MSR_TSC, &stood.tsc) == 0;
	stood.has_clock = kvm_ioctl(kvm.fd, KVM_GET_CLOCK, &stood.clock) == 0;
}

static void go_on(struct qemu_cpu *cpu, void *unused)
{
	struct kvm_clock_data clock = { .clock = stood.clock.clock };
	uint64_t now;

	(void)cpu;
	(void)unused;
	if (stood.has_tsc && kvm_msr_read(&vcpus[0], MSR_TSC, &now) == 0)
		turn_back(now - stood.tsc);
	if (stood.has_clock)
		kvm_ioctl(kvm.fd, KVM_SET_CLOCK, &clock);
	stood.has_tsc = stood.has_clock = false;
}

/* A vCPU in KVM_RUN, halted maybe, would have every ioctl() to it wait: none is in there. */
void kvm_clocks(bool stop)
{
	vcpu_run_exclusive(stop ? stop_all : go_on, NULL);
}
