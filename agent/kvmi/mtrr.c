/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdbool.h>

#include "agent/accel.h"
#include "mtrr.h"

#define MSR_CAPABILITIES 0xfe
#define MSR_DEFAULT      0x2ff
#define MSR_BASE_0       0x200	/* then its mask, then the next pair */
#define FIXED            (UINT64_C(1) << 10)	/* MSR_DEFAULT: the fixed ranges are in use */
#define ENABLED          (UINT64_C(1) << 11)
#define VALID            (UINT64_C(1) << 11)	/* a mask */
#define VARIABLE_MOST    8u	/* that QEMU has room for */

enum { UNCACHEABLE = 0, WRITE_THROUGH = 4, WRITE_BACK = 6, NONE = 256 };

static uint64_t msr(struct vcpu *vcpu, uint32_t index)
{
	uint64_t value = 0;

	accel->msr_read(vcpu, index, &value);
	return value;
}

/* Below 1 MiB: 8 ranges of 64 KiB, 16 of 16 KiB, 64 of 4 KiB, each MSR has 8. */
static uint8_t fixed_type(struct vcpu *vcpu, uint64_t gpa)
{
	uint32_t index, n;

	if (gpa < 0x80000) {
		index = 0x250;
		n = (uint32_t)(gpa >> 16);
	} else if (gpa < 0xc0000) {
		n = (uint32_t)((gpa - 0x80000) >> 14);
		index = 0x258 + n / 8;
	} else {
		n = (uint32_t)((gpa - 0xc0000) >> 12);
		index = 0x268 + n / 8;
	}
	return (uint8_t)(msr(vcpu, index) >> n % 8 * 8);
}

/* Two ranges that overlap: what is not as the manual says is undefined, uncacheable here. */
static unsigned both(unsigned a, unsigned b)
{
	if (a == NONE || a == b)
		return b;
	if ((a == WRITE_THROUGH && b == WRITE_BACK) || (a == WRITE_BACK && b == WRITE_THROUGH))
		return WRITE_THROUGH;
	return UNCACHEABLE;
}

uint8_t kvmi_mtrr_type(struct vcpu *vcpu, uint64_t gpa)
{
	uint64_t defaults = msr(vcpu, MSR_DEFAULT);
	unsigned count = msr(vcpu, MSR_CAPABILITIES) & 0xff, type = NONE;

	if (!(defaults & ENABLED))
		return UNCACHEABLE;
	if (defaults & FIXED && gpa < 0x100000)
		return fixed_type(vcpu, gpa);
	for (unsigned i = 0; i < count && i < VARIABLE_MOST; i++) {
		uint64_t base = msr(vcpu, MSR_BASE_0 + 2 * i), mask = msr(vcpu, MSR_BASE_0 + 2 * i + 1);

		if (mask & VALID && !((gpa ^ base) & mask & ~UINT64_C(0xfff)))
			type = both(type, base & 0xff);
	}
	return (uint8_t)(type == NONE ? defaults : type);
}
