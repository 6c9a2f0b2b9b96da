/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "events.h"
#include "regs.h"

#define TPR      0x80	/* in the local APIC's page; CR8 is its bits 4 to 7 */
#define UNUSABLE (1u << 16)
#define PRESENT  0x80u
#define BIT(reg) SCRY_REG_BIT(SCRY_REG_##reg)

/* Where each number is in Xen's record. */
#define NUMBER(reg, field) { SCRY_REG_##reg, offsetof(struct hvm_hw_cpu, field) }
static const struct {
	enum scry_reg reg;
	size_t at;
} numbers[] = {
	NUMBER(RAX, rax), NUMBER(RCX, rcx), NUMBER(RDX, rdx), NUMBER(RBX, rbx), NUMBER(RSP, rsp),
	NUMBER(RBP, rbp), NUMBER(RSI, rsi), NUMBER(RDI, rdi), NUMBER(R8, r8), NUMBER(R9, r9),
	NUMBER(R10, r10), NUMBER(R11, r11), NUMBER(R12, r12), NUMBER(R13, r13), NUMBER(R14, r14),
	NUMBER(R15, r15), NUMBER(RIP, rip), NUMBER(RFLAGS, rflags), NUMBER(CR0, cr0),
	NUMBER(CR2, cr2), NUMBER(CR3, cr3), NUMBER(CR4, cr4), NUMBER(DR0, dr0), NUMBER(DR1, dr1),
	NUMBER(DR2, dr2), NUMBER(DR3, dr3), NUMBER(DR6, dr6), NUMBER(DR7, dr7),
	NUMBER(EFER, msr_efer), NUMBER(GDTR, gdtr_base), NUMBER(IDTR, idtr_base),
};

#define SEGMENT(name) \
	{ offsetof(struct hvm_hw_cpu, name##_sel), offsetof(struct hvm_hw_cpu, name##_limit), \
	  offsetof(struct hvm_hw_cpu, name##_base), offsetof(struct hvm_hw_cpu, name##_arbytes) }
static const struct {
	size_t selector, limit, base, rights;
} segments[] = {
	SEGMENT(es), SEGMENT(cs), SEGMENT(ss), SEGMENT(ds), SEGMENT(fs), SEGMENT(gs), SEGMENT(ldtr),
	SEGMENT(tr),
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static uint32_t *word(const struct hvm_hw_cpu *cpu, size_t at)
{
	return (uint32_t *)((char *)(uintptr_t)cpu + at);
}

static uint64_t *number(const struct hvm_hw_cpu *cpu, size_t at)
{
	return (uint64_t *)((char *)(uintptr_t)cpu + at);
}

/* Xen has AVL, L, D/B and G in bits 8 to 11, and what is not usable as not present. */
static void get_segment(const struct hvm_hw_cpu *cpu, unsigned i, struct scry_seg *seg)
{
	uint32_t rights = *word(cpu, segments[i].rights);

	*seg = (struct scry_seg){
		.base = *number(cpu, segments[i].base), .limit = *word(cpu, segments[i].limit),
		.selector = (uint16_t)*word(cpu, segments[i].selector),
		.attr = (rights & 0xff) | (rights & 0xf00) << 4 | (rights & PRESENT ? 0 : UNUSABLE),
	};
}

static void set_segment(struct hvm_hw_cpu *cpu, unsigned i, const struct scry_seg *seg)
{
	uint32_t rights = (seg->attr & 0xff) | (seg->attr >> 4 & 0xf00);

	*number(cpu, segments[i].base) = seg->base;
	*word(cpu, segments[i].limit) = seg->limit;
	*word(cpu, segments[i].selector) = seg->selector;
	*word(cpu, segments[i].rights) = seg->attr & UNUSABLE ? rights & ~PRESENT : rights;
}

static void get_cpu(const struct hvm_hw_cpu *cpu, struct scry_regs *regs)
{
	for (size_t i = 0; i < COUNT(numbers); i++)
		*scry_reg_ref(regs, numbers[i].reg) = *number(cpu, numbers[i].at);
	for (unsigned i = 0; i < COUNT(segments); i++)
		get_segment(cpu, i, &regs->seg[i]);
	regs->gdtr.limit = cpu->gdtr_limit;
	regs->idtr.limit = cpu->idtr_limit;
}

static void set_cpu(struct hvm_hw_cpu *cpu, const struct scry_regs *regs, uint64_t mask)
{
	for (size_t i = 0; i < COUNT(numbers); i++)
		if (mask & SCRY_REG_BIT(numbers[i].reg))
			*number(cpu, numbers[i].at) = scry_reg_value(regs, numbers[i].reg);
	for (unsigned i = 0; i < COUNT(segments); i++)
		if (mask & SCRY_REG_BIT(SCRY_REG_ES + i))
			set_segment(cpu, i, &regs->seg[i]);
	if (mask & BIT(GDTR))
		cpu->gdtr_limit = regs->gdtr.limit;
	if (mask & BIT(IDTR))
		cpu->idtr_limit = regs->idtr.limit;
}

int xen_regs_get(struct scry_vm *vm, unsigned vcpu, struct scry_regs *regs)
{
	struct xen_vm *x = xen_of(vm);
	struct {
		struct hvm_hw_cpu cpu;
		struct hvm_hw_lapic_regs apic;
		union {
			struct hvm_hw_cpu_xsave head;
			char room[XEN_RECORD_MAX];
		} xsave;
	} *record = malloc(sizeof(*record));
	int ret;

	if (!record)
		return scry_fail(SCRY_E_NOMEM, "out of memory for a vCPU's state");
	ret = xen_record_get(x, HVM_SAVE_CODE(CPU), vcpu, &record->cpu, sizeof(record->cpu));
	if (!ret)
		ret = xen_record_get(x, HVM_SAVE_CODE(LAPIC_REGS), vcpu, &record->apic,
				     sizeof(record->apic));
	if (!ret) {
		*regs = (struct scry_regs){ .cr8 = record->apic.data[TPR] >> 4, .xcr0 = 1 };
		get_cpu(&record->cpu, regs);
		/* There is none as long as XCR0 has not been written: then it is 1. */
		if (!xen_record_get(x, CPU_XSAVE_CODE, vcpu, &record->xsave, sizeof(record->xsave)))
			regs->xcr0 = record->xsave.head.xcr0;
	}
	free(record);
	if (!ret)
		xen_held_show(vm, vcpu, regs);
	return ret;
}

static int no_record(struct xen_vm *x, const char *what)
{
	return scry_fail(SCRY_E_REFUSED, "there is no %s of this vCPU in VM %s", what, x->vm->name);
}

static int set_others(struct xen_vm *x, const struct xen_context *context, unsigned vcpu,
		      const struct scry_regs *regs, uint64_t mask)
{
	struct hvm_hw_cpu_xsave *xsave;
	unsigned char *apic;
	size_t len;

	if (mask & BIT(CR8)) {
		apic = xen_context_find(context, HVM_SAVE_CODE(LAPIC_REGS), vcpu, &len);
		if (!apic || len <= TPR)
			return no_record(x, "local APIC");
		apic[TPR] = (unsigned char)(regs->cr8 << 4);
	}
	if (mask & BIT(XCR0)) {
		xsave = xen_context_find(context, CPU_XSAVE_CODE, vcpu, &len);
		if (!xsave || len < sizeof(*xsave))
			return no_record(x, "XCR0");
		xsave->xcr0 = regs->xcr0;
		xsave->xcr0_accum |= regs->xcr0;
	}
	return 0;
}

int xen_regs_write(struct scry_vm *vm, unsigned vcpu, const struct scry_regs *regs, uint64_t mask)
{
	struct xen_vm *x = xen_of(vm);
	struct xen_context context;
	struct hvm_hw_cpu *cpu;
	struct scry_regs now, wanted;
	size_t len;
	int ret = xen_context_begin(x, &context);

	if (ret < 0)
		return ret;
	cpu = xen_context_find(&context, HVM_SAVE_CODE(CPU), vcpu, &len);
	if (!cpu || len < sizeof(*cpu)) {
		ret = no_record(x, "state");
	} else {
		now = (struct scry_regs){ 0 };
		get_cpu(cpu, &now);
		set_cpu(cpu, regs, mask);
		wanted = *regs;
		get_cpu(cpu, &wanted);
		ret = xen_regs_check(&now, &wanted, mask);
	}
	if (!ret)
		ret = set_others(x, &context, vcpu, regs, mask);
	if (!ret)
		ret = xen_context_load(x, &context, vcpu, mask & BIT(CR8) ?
				       UINT64_C(1) << HVM_SAVE_CODE(LAPIC_REGS) : 0);
	return xen_context_end(x, &context, ret);
}

int xen_drop_pending(struct scry_vm *vm, unsigned vcpu)
{
	struct xen_vm *x = xen_of(vm);
	struct xen_context context;
	struct hvm_hw_cpu *cpu;
	size_t len;
	int ret = xen_context_begin(x, &context);

	if (ret < 0)
		return ret;
	cpu = xen_context_find(&context, HVM_SAVE_CODE(CPU), vcpu, &len);
	if (cpu && len >= sizeof(*cpu)) {
		cpu->pending_event = 0;
		ret = xen_context_load(x, &context, vcpu, 0);
	} else {
		ret = no_record(x, "state");
	}
	return xen_context_end(x, &context, ret);
}

int xen_regs_set(struct scry_vm *vm, unsigned vcpu, const struct scry_regs *regs, uint64_t mask)
{
	int ret = xen_events_ended(xen_events_of(vm));
	uint64_t now;

	if (ret < 0)
		return ret;
	now = xen_held_keep(vm, vcpu, regs, mask);
	return now ? xen_regs_write(vm, vcpu, regs, now) : 0;
}
