/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kvm.h"

#define MSR_TSC 0x10

/* While the clocks are stopped: how they stood. */
static struct {
	bool stopped, has_clock;
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

/* While all vCPUs are stopped, or the client is gone: from the service thread. */
void kvm_clocks(bool stop)
{
	struct kvm_clock_data clock = { 0 };
	uint64_t now;

	if (stop == stood.stopped)
		return;
	stood.stopped = stop;
	if (kvm_msr_read(&vcpus[0], MSR_TSC, &now) < 0)
		return;
	if (stop) {
		stood.tsc = now;
		stood.has_clock = kvm_ioctl(kvm.fd, KVM_GET_CLOCK, &stood.clock) == 0;
		return;
	}
	turn_back(now - stood.tsc);
	clock.clock = stood.clock.clock;
	if (stood.has_clock)
		kvm_ioctl(kvm.fd, KVM_SET_CLOCK, &clock);
}
