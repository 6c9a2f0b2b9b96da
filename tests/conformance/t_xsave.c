/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* FPU, SSE and AVX state, loaded and stored by the guest around HOLD. */
#include <string.h>

#include "conformance.h"

/* In the standard format (SDM vol. 1, 13.4). */
#define MXCSR   24
#define ST      32	/* ST0 to ST7, 16 bytes each */
#define XMM     160	/* XMM0 to XMM15 */
#define HEADER  512	/* XSTATE_BV first */
#define YMM     576	/* their upper halves */
#define AREA    1024

static void fill(uint8_t *area, unsigned salt, bool avx)
{
	memset(area, 0, AREA);
	area[0] = 0x7f;			/* FCW 0x37f */
	area[1] = 0x03;
	area[4] = 0xff;			/* all of ST in use */
	area[MXCSR] = 0x80;
	area[MXCSR + 1] = 0x1f;
	for (unsigned i = 0; i < 8; i++) {
		for (unsigned j = 0; j < 10; j++)
			area[ST + 16 * i + j] = (uint8_t)(salt + i + j);
		area[ST + 16 * i + 7] |= 0x80;	/* a normal number's integer bit */
	}
	for (unsigned i = 0; i < 256; i++)
		area[XMM + i] = (uint8_t)(salt + 3 * i);
	area[HEADER] = avx ? 7 : 3;
	if (avx)
		for (unsigned i = 0; i < 256; i++)
			area[YMM + i] = (uint8_t)(salt + 7 * i);
}

static int same(struct ctx *c, const char *who, const uint8_t *area, const uint8_t *expect,
		bool avx)
{
	for (unsigned i = 0; i < 8; i++)
		CHECK(c, !memcmp(area + ST + 16 * i, expect + ST + 16 * i, 10), "%s: st%u differs", who,
		      i);
	for (unsigned i = 0; i < 16; i++)
		CHECK(c, !memcmp(area + XMM + 16 * i, expect + XMM + 16 * i, 16), "%s: xmm%u differs",
		      who, i);
	for (unsigned i = 0; avx && i < 16; i++)
		CHECK(c, !memcmp(area + YMM + 16 * i, expect + YMM + 16 * i, 16),
		      "%s: ymm%u's upper half differs", who, i);
	CHECK(c, !memcmp(area + MXCSR, expect + MXCSR, 4), "%s: mxcsr differs", who);
	CHECK(c, !memcmp(area, expect, 2), "%s: fcw differs", who);
	return 0;
}

static uint64_t in_block(unsigned vcpu, size_t offset)
{
	return PROBE_VCPU_GPA + (uint64_t)vcpu * PROBE_VCPU_SIZE + offset;
}

static int hold(struct ctx *c, unsigned vcpu, const uint8_t *area)
{
	const struct probe_op op = OP(HOLD, .arg = 1);

	OK(c, scry_write_phys(c->vm, in_block(vcpu, offsetof(struct probe_vcpu, xsave_in)), area, AREA));
	DO(guest_start(c, vcpu, &op, 1, 1));
	DO(guest_wait_waits(c, vcpu));
	return guest_moves(c, vcpu);
}

static int xsave(struct ctx *c)
{
	bool avx = c->probe.features & PROBE_HAS_AVX;
	uint8_t known[AREA], other[AREA], area[8192], stored[AREA];
	int size;

	for (unsigned vcpu = 0; vcpu < c->vcpus; vcpu++) {
		fill(known, 1 + vcpu, avx);
		fill(other, 101 + vcpu, avx);
		DO(hold(c, vcpu, known));
		size = scry_xsave_get(c->vm, vcpu, NULL, 0);
		OK(c, size);
		CHECK(c, size >= (avx ? YMM + 256 : YMM) && size <= (int)sizeof(area), "%d bytes", size);
		CHECK(c, scry_xsave_get(c->vm, vcpu, area, (size_t)size) == size, "the length changes");
		DO(same(c, "read", area, known, avx));

		memcpy(area, other, avx ? YMM + 256 : YMM);
		OK(c, scry_xsave_set(c->vm, vcpu, area, (size_t)size));
		memset(area, 0, sizeof(area));
		OK(c, scry_xsave_get(c->vm, vcpu, area, sizeof(area)));
		DO(same(c, "read back", area, other, avx));
		DO(guest_release(c, vcpu));
		DO(guest_wait(c, vcpu));
		OK(c, scry_read_phys(c->vm, in_block(vcpu, offsetof(struct probe_vcpu, xsave_out)), stored,
				     AREA));
		DO(same(c, "the guest", stored, other, avx));
	}
	return 0;
}

/* A component that is not in XSTATE_BV gets its initial state. */
static int init_state(struct ctx *c)
{
	uint8_t known[AREA], area[8192], zero[256] = { 0 };
	int size;

	fill(known, 5, c->probe.features & PROBE_HAS_AVX);
	DO(hold(c, 0, known));
	size = scry_xsave_get(c->vm, 0, area, sizeof(area));
	OK(c, size);
	area[HEADER] &= (uint8_t)~2;	/* SSE */
	OK(c, scry_xsave_set(c->vm, 0, area, (size_t)size));
	OK(c, scry_xsave_get(c->vm, 0, area, sizeof(area)));
	CHECK(c, !(area[HEADER] & 2) || !memcmp(area + XMM, zero, 256),
	      "SSE left out of XSTATE_BV is not in its initial state");
	return 0;
}

static int refused(struct ctx *c)
{
	uint8_t area[8192], after[8192];
	int size = scry_xsave_get(c->vm, 0, area, sizeof(area));

	OK(c, size);
	REFUSED(c, scry_xsave_set(c->vm, 0, area, (size_t)size - 1), SCRY_E_INVAL);
	REFUSED(c, scry_xsave_set(c->vm, 0, area, 0), SCRY_E_INVAL);
	area[HEADER + 7] |= 0x40;	/* a component that XCR0 does not have */
	REFUSED(c, scry_xsave_set(c->vm, 0, area, (size_t)size), SCRY_E_REFUSED);
	area[HEADER + 7] &= 0xbf;
	area[HEADER + 15] |= 0x80;	/* XCOMP_BV: the compact format */
	REFUSED(c, scry_xsave_set(c->vm, 0, area, (size_t)size), SCRY_E_REFUSED);
	area[HEADER + 15] &= 0x7f;
	area[MXCSR + 3] = 0x80;		/* a reserved bit */
	REFUSED(c, scry_xsave_set(c->vm, 0, area, (size_t)size), SCRY_E_REFUSED);
	area[MXCSR + 3] = 0;
	OK(c, scry_xsave_get(c->vm, 0, after, sizeof(after)));
	CHECK(c, !memcmp(area, after, (size_t)size), "a refused area has changed the state");
	return 0;
}

const struct test tests_xsave[] = {
	{ "xsave", xsave, { SCRY_CAP_XSAVE_READ, SCRY_CAP_XSAVE_WRITE } },
	{ "xsave-init", init_state, { SCRY_CAP_XSAVE_READ, SCRY_CAP_XSAVE_WRITE } },
	{ "xsave-refused", refused, { SCRY_CAP_XSAVE_READ, SCRY_CAP_XSAVE_WRITE } },
	{ 0 }
};
