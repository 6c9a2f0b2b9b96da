/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>

#include "kvm.h"

/*
 * A step may come out of KVM_RUN for QEMU to serve a device.  Of what writes to one (MMIO,
 * OUTS) KVM has written the registers back by then, and has forgotten the step.  What
 * reads from one the next KVM_RUN finishes, for which trapped pages have to be open as
 * they were: LOCK finds a slot without access there otherwise, and gives up.
 */

static bool writes(const struct kvm_run *run)
{
	return (run->exit_reason == KVM_EXIT_MMIO && run->mmio.is_write) ||
	       (run->exit_reason == KVM_EXIT_IO && run->io.direction == KVM_EXIT_IO_OUT);
}

int kvm_step_half(struct kvcpu *k, int ret)
{
	struct kvm_regs r = { 0 };

	if (ret < 0 || k->step.left)
		return STEP_WHOLE;
	if (k->run->exit_reason == KVM_EXIT_MMIO && !k->run->mmio.is_write)
		return STEP_READS;
	kvm_ioctl(k->fd, KVM_GET_REGS, &r);
	return writes(k->run) && r.rip != k->step.rip ? STEP_WRITES : STEP_WHOLE;
}

/* More of it is to be written, or it has come to its end, which KVM does not say. */
static enum kvm_outcome end(struct vcpu *vcpu, struct kvcpu *k, int *ret)
{
	*ret = kvm_run_no_further(k);
	if (*ret >= 0 || errno != EINTR)
		return KVM_TO_QEMU;
	k->step.half = STEP_WHOLE;
	k->run->exit_reason = KVM_EXIT_DEBUG;
	k->run->debug.arch = (struct kvm_debug_exit_arch){ .exception = VECTOR_DB, .dr6 = DR6_STEP };
	*ret = 0;
	return kvm_look(vcpu, k, ret);
}

enum kvm_outcome kvm_step_go_on(struct vcpu *vcpu, struct kvcpu *k, int *ret)
{
	return k->step.half == STEP_WRITES ? end(vcpu, k, ret) : kvm_trap_go_on(vcpu, k, ret);
}
