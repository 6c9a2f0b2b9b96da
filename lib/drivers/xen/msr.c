/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "../../../protocol/rules.h"
#include "context.h"
#include "regs.h"

#define MSR_PAT   0x277u
#define MSR_EFER  0xc0000080u
#define PAT_TYPES 0xf3u		/* 0, 1, 4, 5, 6, 7 */

enum rule { ANY, CANONICAL, PAT, EFER };

/* MSRs that have a place of their own in a record. */
#define IN_CPU(index, field, rule) \
	{ index, HVM_SAVE_CODE(CPU), offsetof(struct hvm_hw_cpu, field), rule }
#define IN_MTRR(index, field) \
	{ index, HVM_SAVE_CODE(MTRR), offsetof(struct hvm_hw_mtrr, field), ANY }
static const struct place {
	uint32_t index;
	unsigned type;
	size_t at;
	enum rule rule;
} places[] = {
	IN_CPU(0x10, tsc, ANY),
	IN_CPU(0x174, sysenter_cs, ANY),
	IN_CPU(0x175, sysenter_esp, CANONICAL),
	IN_CPU(0x176, sysenter_eip, CANONICAL),
	IN_CPU(MSR_EFER, msr_efer, EFER),
	IN_CPU(0xc0000081, msr_star, ANY),
	IN_CPU(0xc0000082, msr_lstar, CANONICAL),
	IN_CPU(0xc0000083, msr_cstar, CANONICAL),
	IN_CPU(0xc0000084, msr_syscall_mask, ANY),
	IN_CPU(0xc0000100, fs_base, CANONICAL),
	IN_CPU(0xc0000101, gs_base, CANONICAL),
	IN_CPU(0xc0000102, shadow_gs, CANONICAL),
	IN_CPU(0xc0000103, msr_tsc_aux, ANY),
	{ 0x1b, HVM_SAVE_CODE(LAPIC), offsetof(struct hvm_hw_lapic, apic_base_msr), ANY },
	{ 0x3b, HVM_SAVE_CODE(TSC_ADJUST), 0, ANY },
	{ MSR_PAT, HVM_SAVE_CODE(MTRR), offsetof(struct hvm_hw_mtrr, msr_pat_cr), PAT },
	IN_MTRR(0xfe, msr_mtrr_cap),
	IN_MTRR(0x250, msr_mtrr_fixed[0]),
	IN_MTRR(0x258, msr_mtrr_fixed[1]),
	IN_MTRR(0x259, msr_mtrr_fixed[2]),
	IN_MTRR(0x2ff, msr_mtrr_def_type),
};

static const struct place *find_place(uint32_t index)
{
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (places[i].index == index)
			return &places[i];
	return NULL;
}

/* Where a context has the MSR, and in *type the record; NULL if nowhere. */
static void *locate(const struct xen_context *context, unsigned vcpu, uint32_t index,
		    unsigned *type)
{
	const struct place *place = find_place(index);
	struct hvm_one_msr *msr;
	unsigned char *record;
	uint32_t count;
	size_t len;

	*type = place ? place->type : CPU_MSR_CODE;
	record = xen_context_find(context, *type, vcpu, &len);
	if (place)
		return record && len >= place->at + 8 ? record + place->at : NULL;
	/* The others that Xen keeps are a list. */
	if (!record || len < offsetof(struct hvm_msr, msr))
		return NULL;
	memcpy(&count, record, sizeof(count));
	msr = (struct hvm_one_msr *)(record + offsetof(struct hvm_msr, msr));
	for (; count && (unsigned char *)(msr + 1) <= record + len; count--, msr++)
		if (msr->index == index)
			return &msr->val;
	return NULL;
}

static int no_msr(const struct scry_vm *vm, uint32_t index)
{
	return scry_fail(SCRY_E_REFUSED, "Xen keeps no MSR 0x%x for VM %s", index, vm->name);
}

int xen_msr_get(struct scry_vm *vm, unsigned vcpu, uint32_t index, uint64_t *value)
{
	struct xen_context context;
	unsigned type;
	void *at;
	int ret = xen_context_get(xen_of(vm), &context);

	if (ret < 0)
		return ret;
	at = locate(&context, vcpu, index, &type);
	if (at)
		memcpy(value, at, sizeof(*value));
	else
		ret = no_msr(vm, index);
	xen_context_free(&context);
	return ret;
}

static bool pat_valid(uint64_t value)
{
	for (; value; value >>= 8)
		if ((value & 0xff) > 7 || !(PAT_TYPES >> (value & 7) & 1))
			return false;
	return true;
}

/* Xen loads some unchecked, and it would be its own WRMSR that faults. */
static bool is_valid(uint32_t index, uint64_t value)
{
	const struct place *place = find_place(index);

	switch (place ? place->rule : ANY) {
	case CANONICAL:
		return scry_rules_rip(value, true, 0);
	case PAT:
		return pat_valid(value);
	default:
		return true;
	}
}

static int set_efer(struct scry_vm *vm, unsigned vcpu, uint64_t value)
{
	const struct scry_regs regs = { .efer = value };

	return xen_regs_set(vm, vcpu, &regs, SCRY_REG_BIT(SCRY_REG_EFER));
}

int xen_msr_set(struct scry_vm *vm, unsigned vcpu, uint32_t index, uint64_t value)
{
	struct xen_vm *x = xen_of(vm);
	struct xen_context context;
	unsigned type;
	void *at;
	int ret;

	if (index == MSR_EFER)
		return set_efer(vm, vcpu, value);
	if (!is_valid(index, value))
		return scry_fail(SCRY_E_REFUSED, "the processor would refuse 0x%llx in MSR 0x%x",
				 (unsigned long long)value, index);
	ret = xen_context_begin(x, &context);
	if (ret < 0)
		return ret;
	at = locate(&context, vcpu, index, &type);
	if (at) {
		memcpy(at, &value, sizeof(value));
		ret = xen_context_load(x, &context, vcpu, UINT64_C(1) << type);
	} else {
		ret = no_msr(vm, index);
	}
	return xen_context_end(x, &context, ret);
}
