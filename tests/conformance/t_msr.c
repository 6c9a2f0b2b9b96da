/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Model-specific registers, as the guest's RDMSR and WRMSR see them. */
#include "conformance.h"

typedef unsigned long long ull;

#define MSR_SYSENTER_CS  0x174
#define MSR_SYSENTER_ESP 0x175
#define MSR_PAT          0x277
#define MSR_EFER         0xc0000080
#define MSR_STAR         0xc0000081
#define MSR_LSTAR        0xc0000082
#define MSR_FMASK        0xc0000084
#define MSR_FS_BASE      0xc0000100
#define MSR_KERNEL_GS    0xc0000102
#define MSR_UNKNOWN      0x12345678

static const struct {
	uint32_t index;
	uint64_t value;
} plain[] = {
	{ MSR_SYSENTER_CS, 0x8 },
	{ MSR_SYSENTER_ESP, 0x80001234 },	/* KVM keeps 32 bits of it on AMD's */
	{ MSR_PAT, 0x0007040600070405 },
	{ MSR_STAR, 0x0023001000000000 },
	{ MSR_LSTAR, 0xffffffff81800000 },
	{ MSR_FMASK, 0x47700 },
	{ MSR_FS_BASE, 0x7f1234567000 },
	{ MSR_KERNEL_GS, 0xffff888000000000 },
};

#define PLAIN (sizeof(plain) / sizeof(plain[0]))

static int write_seen(struct ctx *c)
{
	struct probe_op result;
	uint64_t value;

	for (size_t i = 0; i < PLAIN; i++)
		for (unsigned vcpu = 0; vcpu < c->vcpus; vcpu++) {
			uint64_t other = plain[i].value ^ (uint64_t)vcpu << 8;

			OK(c, scry_msr_set(c->vm, vcpu, plain[i].index, other));
			OK(c, scry_msr_get(c->vm, vcpu, plain[i].index, &value));
			CHECK(c, value == other, "%#x reads back %#llx", plain[i].index, (ull)value);
			DO(guest_do(c, vcpu, OP(RDMSR, .arg = plain[i].index), &result));
			CHECK(c, result.out[0] == other, "%#x: the guest reads %#llx", plain[i].index,
			      (ull)result.out[0]);
		}
	return 0;
}

static int read_seen(struct ctx *c)
{
	uint64_t value;

	for (size_t i = 0; i < PLAIN; i++) {
		DO(guest_do(c, 0, OP(WRMSR, .arg = plain[i].index, .value = plain[i].value), NULL));
		OK(c, scry_msr_get(c->vm, 0, plain[i].index, &value));
		CHECK(c, value == plain[i].value, "%#x: the guest wrote %#llx, %#llx is read",
		      plain[i].index, (ull)plain[i].value, (ull)value);
	}
	OK(c, scry_msr_get(c->vm, 0, MSR_EFER, &value));
	CHECK(c, value == c->probe.efer, "EFER reads %#llx", (ull)value);
	if (!scry_cap(c->vm, SCRY_CAP_MSR_WRITE, NULL))
		return 0;
	OK(c, scry_msr_set(c->vm, 0, MSR_EFER, value | 1));
	OK(c, scry_msr_get(c->vm, 0, MSR_EFER, &value));
	CHECK(c, value == (c->probe.efer | 1), "EFER reads back %#llx", (ull)value);
	return 0;
}

/* What the guest's instruction refuses is refused here, and the value stays. */
static int refused(struct ctx *c)
{
	static const struct {
		uint32_t index;
		uint64_t value;
	} bad[] = {
		{ MSR_LSTAR, 0x800000000000 },
		{ MSR_KERNEL_GS, 0x123400000000000 },
		{ MSR_EFER, 1ull << 40 },
		{ MSR_PAT, 0x0202020202020202 },
	};
	struct probe_op result;
	uint64_t before, after;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int got;

		OK(c, scry_msr_get(c->vm, 0, bad[i].index, &before));
		got = scry_msr_set(c->vm, 0, bad[i].index, bad[i].value);
		OK(c, scry_msr_get(c->vm, 0, bad[i].index, &after));
		CHECK(c, got != SCRY_E_REFUSED || before == after, "%#x: refused, but changed",
		      bad[i].index);
		CHECK(c, got == 0 || got == SCRY_E_REFUSED, "%#x: %s", bad[i].index, scry_errmsg());
		DO(guest_do(c, 0, OP(WRMSR, .arg = bad[i].index, .value = bad[i].value), &result));
		CHECK(c, (got == SCRY_E_REFUSED) == (result.faults == 1),
		      "%#x = %#llx: %s here, but the guest's WRMSR %s", bad[i].index,
		      (ull)bad[i].value, got ? "refused" : "written",
		      result.faults ? "raises #GP" : "is carried out");
		DO(guest_do(c, 0, OP(RESET), NULL));
	}
	return 0;
}

static int unknown(struct ctx *c)
{
	struct probe_op result;
	uint64_t value = 1;
	int got = scry_msr_get(c->vm, 0, MSR_UNKNOWN, &value);

	DO(guest_do(c, 0, OP(RDMSR, .arg = MSR_UNKNOWN), &result));
	if (result.faults || !whole(c, SCRY_CAP_MSR_READ))
		CHECK(c, got == SCRY_E_REFUSED, "the guest's RDMSR raises #GP, but %d here", got);
	else
		CHECK(c, got == 0 && value == result.out[0], "the guest reads %#llx, but %#llx (%d) here",
		      (ull)result.out[0], (ull)value, got);
	return 0;
}

const struct test tests_msr[] = {
	{ "msr-write", write_seen, { SCRY_CAP_MSR_READ, SCRY_CAP_MSR_WRITE } },
	{ "msr-read", read_seen, { SCRY_CAP_MSR_READ } },
	{ "msr-refused", refused, { SCRY_CAP_MSR_READ, SCRY_CAP_MSR_WRITE } },
	{ "msr-unknown", unknown, { SCRY_CAP_MSR_READ } },
	{ 0 }
};
