/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <scry/error.h>
#include <stdio.h>

#include "agent/accel.h"
#include "xsave.h"

#define LEGACY_SIZE  512u
#define HEADER_SIZE  64u
#define MXCSR_AT     24u
#define MXCSR_ALLOWED 0xffffu
#define X87          1u
#define SSE          2u
#define XMM_AT       160u
#define XMM_SIZE     256u
#define QEMU_AREA    16384u	/* QEMU writes every component it knows, wanted or not */

struct header {
	uint64_t xstate_bv, xcomp_bv, reserved[6];
};

/* A part of the area that XSTATE_BV has one bit for. */
struct component {
	uint32_t at, size;
};

/* The components in use: XCR0, or x87 and SSE in a guest without XSAVE. */
static uint64_t components(struct vcpu *vcpu)
{
	uint32_t eax, ebx, ecx, edx;

	qemu.cpu_x86_cpuid(cpu_env(vcpu->cpu), 1, 0, &eax, &ebx, &ecx, &edx);
	return ecx >> 26 & 1 ? accel->xcr0(vcpu) : X87 | SSE;
}

/* Where one lies, by CPUID leaf 0xd; at 0 = nowhere. */
static struct component component(struct vcpu *vcpu, uint32_t bit)
{
	uint32_t size, at, ecx, edx;

	qemu.cpu_x86_cpuid(cpu_env(vcpu->cpu), 0xd, bit, &size, &at, &ecx, &edx);
	if (at < LEGACY_SIZE + HEADER_SIZE || at > SCRY_AGENT_XSAVE ||
	    size > SCRY_AGENT_XSAVE - at)
		return (struct component){ 0, 0 };
	return (struct component){ at, size };
}

uint32_t xsave_size(struct vcpu *vcpu)
{
	uint64_t used = components(vcpu);
	uint32_t end = LEGACY_SIZE + HEADER_SIZE;

	for (uint32_t bit = 2; bit < 63; bit++) {
		struct component c = used >> bit & 1 ? component(vcpu, bit)
						     : (struct component){ 0, 0 };

		if (c.at && c.at + c.size > end)
			end = c.at + c.size;
	}
	return end;
}

int xsave_get(struct vcpu *vcpu, uint8_t *area)
{
	uint8_t all[QEMU_AREA] = { 0 };
	struct header header = { .xstate_bv = components(vcpu) };

	if (accel->xsave_get(vcpu, all, sizeof(all)) < 0)
		return -1;
	/* TCG does not note which components are in their initial state: say none is. */
	memcpy(all + LEGACY_SIZE, &header, sizeof(header));
	memcpy(area, all, xsave_size(vcpu));
	return 0;
}

static int check(struct vcpu *vcpu, const uint8_t *area, uint64_t len, char *text, size_t size)
{
	static const struct header zero;
	struct header header;
	uint32_t mxcsr;

	if (len != xsave_size(vcpu)) {
		snprintf(text, size, "the XSAVE area must have %u bytes, it has %llu",
			 xsave_size(vcpu), (unsigned long long)len);
		return SCRY_E_INVAL;
	}
	memcpy(&header, area + LEGACY_SIZE, sizeof(header));
	memcpy(&mxcsr, area + MXCSR_AT, sizeof(mxcsr));
	if (header.xstate_bv & ~components(vcpu)) {
		snprintf(text, size, "XSTATE_BV 0x%llx has a component that XCR0 0x%llx has not",
			 (unsigned long long)header.xstate_bv,
			 (unsigned long long)components(vcpu));
		return SCRY_E_REFUSED;
	}
	if (header.xcomp_bv || memcmp(header.reserved, zero.reserved, sizeof(zero.reserved))) {
		snprintf(text, size, "the XSAVE header's bytes 8 to 63 must be 0: the area must be "
			 "in the standard format");
		return SCRY_E_REFUSED;
	}
	if (mxcsr & ~MXCSR_ALLOWED) {
		snprintf(text, size, "a reserved bit of MXCSR is set (0x%x)", mxcsr);
		return SCRY_E_REFUSED;
	}
	return 0;
}

/* A component comes from the area, or gets its initial state. */
static void put(uint8_t *to, const uint8_t *from, uint32_t at, uint32_t size, bool present)
{
	if (present)
		memcpy(to + at, from + at, size);
	else
		memset(to + at, 0, size);
}

static void put_x87(uint8_t *to, const uint8_t *from, bool present)
{
	static const uint16_t initial_control = 0x37f;

	put(to, from, 0, MXCSR_AT, present);
	put(to, from, 32, XMM_AT - 32, present);
	if (!present)
		memcpy(to, &initial_control, sizeof(initial_control));
}

int xsave_put(struct vcpu *vcpu, const uint8_t *area, uint64_t len, char *text, size_t size)
{
	uint8_t all[QEMU_AREA] = { 0 };
	uint64_t used = components(vcpu);
	struct header header;
	int status = check(vcpu, area, len, text, size);

	if (status)
		return status;
	if (accel->xsave_get(vcpu, all, sizeof(all)) < 0) {
		snprintf(text, size, "the hypervisor does not give the XSAVE area that there is");
		return SCRY_E_REFUSED;
	}
	memcpy(&header, area + LEGACY_SIZE, sizeof(header));
	put_x87(all, area, header.xstate_bv & X87);
	if (used & SSE) {
		memcpy(all + MXCSR_AT, area + MXCSR_AT, 4);
		put(all, area, XMM_AT, XMM_SIZE, header.xstate_bv & SSE);
	}
	for (uint32_t bit = 2; bit < 63; bit++) {
		struct component c = used >> bit & 1 ? component(vcpu, bit)
						     : (struct component){ 0, 0 };

		put(all, area, c.at, c.size, header.xstate_bv >> bit & 1);
	}
	header.xstate_bv = used;
	memcpy(all + LEGACY_SIZE, &header, sizeof(header));
	if (accel->xsave_put(vcpu, all, sizeof(all)) == 0)
		return 0;
	snprintf(text, size, "the hypervisor refuses this XSAVE area");
	return SCRY_E_REFUSED;
}
