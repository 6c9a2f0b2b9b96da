/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/event/arm.h"
#include "kvm.h"
#include "protocol/rules.h"

/* A filter's bitmap has a bit for each MSR: 0 = it exits. */
#define RANGE_MSRS   0x3000u	/* the most that KVM takes for one */
#define RANGE_BYTES  (RANGE_MSRS / 8)

/* MSRs of processors, of AMD's, and of hypervisors. */
static const uint32_t bases[] = { 0, 0x40000000, 0x4b564d00, 0xc0000000, 0xc0010000 };
#define BASES (sizeof(bases) / sizeof(bases[0]))

/* KVM lets the local APIC's through, whatever the filter says. */
#define X2APIC_FIRST 0x800u
#define X2APIC_LAST  0x8ffu

#define MSR_FS_BASE   0xc0000100u
#define MSR_KERNEL_GS 0xc0000102u

static bool can_be_told(uint32_t index)
{
	if (index >= X2APIC_FIRST && index <= X2APIC_LAST)
		return false;
	for (unsigned i = 0; i < BASES; i++)
		if (index - bases[i] < RANGE_MSRS)
			return true;
	return false;
}

const char *kvm_msr_lacks(const struct scry_subscription *sub)
{
	for (uint32_t i = 0; i < sub->msr.count; i++)
		if (!can_be_told(sub->msr.index[i]))
			return "stock KVM tells nothing of an MSR of the list: it can of those at 0, "
			       "0x40000000, 0x4b564d00, 0xc0000000 and 0xc0010000, 0x3000 each, but "
			       "for x2APIC's";
	return NULL;
}

static bool in_range(const struct kvm_msr_filter_range *r, uint32_t index)
{
	return r->nmsrs && index >= r->base && index - r->base < r->nmsrs;
}

/* Does QEMU itself want to know of this access? */
static bool is_qemus(uint32_t index, uint32_t access)
{
	for (int i = 0; i < KVM_MSR_FILTER_MAX_RANGES; i++) {
		const struct kvm_msr_filter_range *r = &kvm.msr_filter.ranges[i];

		if (r->flags & access && in_range(r, index))
			return true;
	}
	return false;
}

static bool wanted(const struct filters *filters, uint32_t index, uint32_t *access)
{
	*access = 0;
	if (is_qemus(index, KVM_MSR_FILTER_READ) ||
	    filter_names_msr(filters, SCRY_EVENT_MSR_READ, index))
		*access |= KVM_MSR_FILTER_READ;
	if (is_qemus(index, KVM_MSR_FILTER_WRITE) ||
	    filter_names_msr(filters, SCRY_EVENT_MSR_WRITE, index))
		*access |= KVM_MSR_FILTER_WRITE;
	return *access;
}

/* One direction of one part of the numbers. */
static bool fill(const struct filters *filters, uint32_t base, uint32_t access, uint8_t *bitmap)
{
	bool any = false;

	memset(bitmap, 0xff, RANGE_BYTES);
	for (uint32_t i = 0; i < RANGE_MSRS; i++) {
		uint32_t both;

		if (!wanted(filters, base + i, &both) || !(both & access))
			continue;
		bitmap[i / 8] &= (uint8_t)~(1u << i % 8);
		any = true;
	}
	return any;
}

/* While no vCPU executes. */
void kvm_msr_arm(const struct filters *filters)
{
	static uint8_t bitmap[2 * BASES][RANGE_BYTES];
	struct kvm_msr_filter filter = { .flags = KVM_MSR_FILTER_DEFAULT_ALLOW };
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_X86_USER_SPACE_MSR,
		.args = { kvm.msr_exits | KVM_MSR_EXIT_REASON_FILTER },
	};
	unsigned n = 0;

	for (unsigned i = 0; i < 2 * BASES; i++) {
		uint32_t access = i & 1 ? KVM_MSR_FILTER_WRITE : KVM_MSR_FILTER_READ;

		if (!fill(filters, bases[i / 2], access, bitmap[n]))
			continue;
		filter.ranges[n] = (struct kvm_msr_filter_range){
			.flags = access, .base = bases[i / 2], .nmsrs = RANGE_MSRS,
			.bitmap = bitmap[n],
		};
		n++;
	}
	if (kvm_ioctl(kvm.fd, KVM_ENABLE_CAP, &cap) < 0 ||
	    kvm_ioctl(kvm.fd, KVM_X86_SET_MSR_FILTER, &filter) < 0)
		fprintf(stderr, "scry-agent: KVM refuses the MSR filter (%s): MSR events do not come\n",
			strerror(errno));
}

/* Do what KVM would have done. */
static void carry_out(struct vcpu *vcpu, struct kvm_run *run, bool write)
{
	uint64_t value = run->msr.data;

	run->msr.error = (write ? kvm_msr_write(vcpu, run->msr.index, value) :
				  kvm_msr_read(vcpu, run->msr.index, &value)) < 0;
	if (!write)
		run->msr.data = value;
}

/* An address that is not canonical; what else it would refuse nobody says beforehand. */
static bool refuses(struct kvcpu *k, uint32_t index, uint64_t value)
{
	struct kvm_sregs s;

	if (index != MSR_LSTAR && index != MSR_CSTAR &&
	    (index < MSR_FS_BASE || index > MSR_KERNEL_GS))
		return false;
	return kvm_ioctl(k->fd, KVM_GET_SREGS, &s) == 0 && !scry_rules_rip(value, true, s.cr4);
}

static bool ask(struct vcpu *vcpu, struct kvcpu *k, bool write)
{
	struct kvm_run *run = k->run;
	struct scry_event event;

	kvm_describe(vcpu, &event);
	event.kind = write ? SCRY_EVENT_MSR_WRITE : SCRY_EVENT_MSR_READ;
	event.insn_len = 2;
	event.msr.index = run->msr.index;
	event.msr.old_value = 0;
	event.msr.faults = kvm_msr_read(vcpu, run->msr.index, &event.msr.old_value) < 0 ||
			   (write && refuses(k, run->msr.index, run->msr.data));
	event.msr.new_value = write ? run->msr.data : 0;
	run->msr.error = 0;
	return kvm_ask(vcpu, k, &event);
}

enum kvm_outcome kvm_msr_exit(struct vcpu *vcpu, struct kvcpu *k)
{
	bool write = k->run->exit_reason == KVM_EXIT_X86_WRMSR;
	enum scry_event_kind kind = write ? SCRY_EVENT_MSR_WRITE : SCRY_EVENT_MSR_READ;
	uint32_t index = k->run->msr.index;

	k->unfinished = true;
	if (arm_filters() && filter_match_msr(arm_filters(), vcpu->index, kind, index) &&
	    !progress_passes(k, kind) && !ask(vcpu, k, write))
		return KVM_AGAIN;
	if (k->run->msr.reason == KVM_MSR_EXIT_REASON_FILTER &&
	    !is_qemus(index, write ? KVM_MSR_FILTER_WRITE : KVM_MSR_FILTER_READ)) {
		carry_out(vcpu, k->run, write);
		return KVM_AGAIN;
	}
	return KVM_TO_QEMU;
}
