/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "context.h"

#define HEAD       offsetof(struct hvm_hw_cpu_xsave, save_area)
#define MXCSR      24
#define MXCSR_BITS 0xffffu
#define ST         32
#define XMM        160
#define XMM_SIZE   256
#define XSTATE_BV  512
#define XCOMP_BV   520
#define AREA_MIN   576
#define X87        UINT64_C(1)
#define SSE        UINT64_C(2)
#define LEGACY     (X87 | SSE)

/*
 * The state of a vCPU, as Xen saves it: an XSAVE area, or, as long as the guest has not
 * executed XSETBV, only the part of it that FXSAVE knows.
 */
struct state {
	struct hvm_hw_cpu *cpu;
	unsigned char *area;	/* NULL = only cpu->fpu_regs */
	size_t len;		/* of an area */
	uint64_t xcr0;		/* components that can be loaded */
};

static int find_state(const struct xen_context *context, unsigned vcpu, struct state *state)
{
	struct hvm_hw_cpu_xsave *record;
	size_t len;

	state->cpu = xen_context_find(context, HVM_SAVE_CODE(CPU), vcpu, &len);
	if (!state->cpu || len < sizeof(*state->cpu))
		return scry_fail(SCRY_E_STATE, "vCPU %u has not been started", vcpu);
	record = xen_context_find(context, CPU_XSAVE_CODE, vcpu, &len);
	state->area = NULL;
	state->len = AREA_MIN;
	state->xcr0 = LEGACY;
	if (record && len >= sizeof(*record)) {
		state->area = (unsigned char *)&record->save_area;
		state->len = len - HEAD;
		state->xcr0 = record->xcr0;
	}
	return 0;
}

static void get_area(const struct state *state, unsigned char *area)
{
	const uint64_t legacy = LEGACY;

	if (state->area) {
		memcpy(area, state->area, state->len);
		return;
	}
	memset(area, 0, AREA_MIN);
	memcpy(area, state->cpu->fpu_regs, XSTATE_BV);
	memcpy(area + XSTATE_BV, &legacy, sizeof(legacy));
}

int xen_xsave_get(struct scry_vm *vm, unsigned vcpu, void *area, size_t size)
{
	struct xen_context context;
	unsigned char whole[XEN_RECORD_MAX];
	struct state state = { 0 };
	int ret = xen_context_get(xen_of(vm), &context);

	if (ret < 0)
		return ret;
	ret = find_state(&context, vcpu, &state);
	if (!ret && state.len > sizeof(whole))
		ret = scry_fail(SCRY_E_UNSUPPORTED, "an XSAVE area of %zu bytes is larger than scry "
				"knows", state.len);
	if (!ret) {
		get_area(&state, whole);
		ret = (int)state.len;
		if (size)
			memcpy(area, whole, size < state.len ? size : state.len);
	}
	xen_context_free(&context);
	return ret;
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

/* A component that XSTATE_BV does not name gets the state that it has after a reset. */
static void set_legacy(struct hvm_hw_cpu *cpu, const unsigned char *area)
{
	static const unsigned char fcw[] = { 0x7f, 0x03 };
	uint64_t components = read_u64(area + XSTATE_BV);

	memcpy(cpu->fpu_regs, area, XSTATE_BV);
	if (!(components & X87)) {
		memset(cpu->fpu_regs, 0, MXCSR);
		memcpy(cpu->fpu_regs, fcw, sizeof(fcw));
		memset(cpu->fpu_regs + ST, 0, XMM - ST);
	}
	if (!(components & SSE))
		memset(cpu->fpu_regs + XMM, 0, XMM_SIZE);
	cpu->flags |= XEN_X86_FPU_INITIALISED;
}

static int set_state(const struct state *state, const void *area, size_t size)
{
	int ret;

	if (size != state->len)
		return scry_fail(SCRY_E_INVAL, "an XSAVE area of this vCPU has %zu bytes, not %zu",
				 state->len, size);
	ret = check_area(area, state->xcr0);
	if (!ret && state->area)
		memcpy(state->area, area, size);
	else if (!ret)
		set_legacy(state->cpu, area);
	return ret;
}

int xen_xsave_set(struct scry_vm *vm, unsigned vcpu, const void *area, size_t size)
{
	struct xen_vm *x = xen_of(vm);
	struct xen_context context;
	struct state state = { 0 };
	int ret = xen_context_begin(x, &context);

	if (ret < 0)
		return ret;
	ret = find_state(&context, vcpu, &state);
	if (!ret)
		ret = set_state(&state, area, size);
	if (!ret)
		ret = xen_context_load(x, &context, vcpu, 0);
	return xen_context_end(x, &context, ret);
}
