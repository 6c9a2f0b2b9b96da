/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/event/arm.h"
#include "kvm.h"

static uint32_t value_of(const struct kvm_run *run)
{
	uint32_t value = 0;

	memcpy(&value, (const char *)run + run->io.data_offset, run->io.size);
	return value;
}

static void describe(struct vcpu *vcpu, struct kvcpu *k, struct scry_event *event)
{
	const struct kvm_run *run = k->run;
	bool out = run->io.direction == KVM_EXIT_IO_OUT;
	struct kvm_insn insn;

	kvm_describe(vcpu, event);
	event->kind = SCRY_EVENT_IO;
	event->io.port = run->io.port;
	event->io.size = run->io.size;
	event->io.access = out ? SCRY_WRITE : SCRY_READ;
	kvm_insn(k, &insn);
	event->insn_len = insn.len;
	event->io.string = insn.string;
	event->io.rep = insn.string && insn.rep;
	k->next_rip = event->rip + insn.len;
	if (out && !event->io.string)
		event->io.value = value_of(run);
}

/* True: QEMU is to serve it. */
static bool ask(struct vcpu *vcpu, struct kvcpu *k)
{
	struct scry_event event;

	if (progress_passes(k, SCRY_EVENT_IO))
		return true;
	describe(vcpu, k, &event);
	return kvm_ask(vcpu, k, &event);
}

enum kvm_outcome kvm_io_exit(struct vcpu *vcpu, struct kvcpu *k)
{
	bool out = k->run->io.direction == KVM_EXIT_IO_OUT, done;
	struct kvm_regs after;

	k->unfinished = true;
	if (!filter_match_port(arm_filters(), vcpu->index, out ? SCRY_WRITE : SCRY_READ,
			       k->run->io.port, k->run->io.size))
		return KVM_TO_QEMU;
	done = out && kvm_out_take_back(k, &after);
	k->unfinished = !done;
	if (!ask(vcpu, k))
		return KVM_AGAIN;
	if (done)
		kvm_ioctl(k->fd, KVM_SET_REGS, &after);
	return KVM_TO_QEMU;
}
