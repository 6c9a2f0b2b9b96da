/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "context.h"

#define HEAD       offsetof(struct hvm_hw_cpu_xsave, save_area)
#define MXCSR      24
#define MXCSR_BITS 0xffffu
#define XSTATE_BV  512
#define XCOMP_BV   520

/* The area in a context, and its length. */
static unsigned char *find_area(const struct xen_context *context, unsigned vcpu, size_t *len)
{
	unsigned char *record = xen_context_find(context, CPU_XSAVE_CODE, vcpu, len);

	if (!record || *len < sizeof(struct hvm_hw_cpu_xsave)) {
		scry_fail(SCRY_E_REFUSED, "vCPU %u has no XSAVE state: its processor lacks XSAVE",
			  vcpu);
		return NULL;
	}
	*len -= HEAD;
	return record + HEAD;
}

int xen_xsave_get(struct scry_vm *vm, unsigned vcpu, void *area, size_t size)
{
	struct xen_context context;
	unsigned char *found;
	size_t len = 0;
	int ret = xen_context_get(xen_of(vm), &context);

	if (ret < 0)
		return ret;
	found = find_area(&context, vcpu, &len);
	if (found && size)
		memcpy(area, found, size < len ? size : len);
	xen_context_free(&context);
	return found ? (int)len : SCRY_E_REFUSED;
}

static uint64_t read_u64(const unsigned char *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

/* Xen would load these as they are, and fault. */
static int check_area(const unsigned char *area, uint64_t xcr0)
{
	uint32_t mxcsr;

	memcpy(&mxcsr, area + MXCSR, sizeof(mxcsr));
	if (mxcsr & ~MXCSR_BITS)
		return scry_fail(SCRY_E_REFUSED, "a reserved bit of MXCSR is set");
	if (read_u64(area + XCOMP_BV))
		return scry_fail(SCRY_E_REFUSED, "the area is not in the standard format: XCOMP_BV is "
				 "not 0");
	if (read_u64(area + XSTATE_BV) & ~xcr0)
		return scry_fail(SCRY_E_REFUSED, "XSTATE_BV names a component that is not in XCR0");
	return 0;
}

int xen_xsave_set(struct scry_vm *vm, unsigned vcpu, const void *area, size_t size)
{
	struct xen_vm *x = xen_of(vm);
	struct xen_context context;
	unsigned char *found;
	size_t len = 0;
	int ret = xen_context_get(x, &context);

	if (ret < 0)
		return ret;
	found = find_area(&context, vcpu, &len);
	if (!found)
		ret = SCRY_E_REFUSED;
	else if (size != len)
		ret = scry_fail(SCRY_E_INVAL, "an XSAVE area of this vCPU has %zu bytes, not %zu", len,
				size);
	else
		ret = check_area(area, read_u64(found - HEAD + offsetof(struct hvm_hw_cpu_xsave, xcr0)));
	if (!ret) {
		memcpy(found, area, size);
		ret = xen_context_load(x, &context, vcpu, 0);
	}
	xen_context_free(&context);
	return ret;
}
