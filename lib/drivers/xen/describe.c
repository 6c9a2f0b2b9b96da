/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "breakpoints.h"
#include "events.h"

#define INT3 0xcc

/* A request in the words of the API. */

static void copy_gprs(const struct vm_event_regs_x86 *r, uint64_t gpr[16])
{
	const uint64_t gprs[16] = {
		r->rax, r->rcx, r->rdx, r->rbx, r->rsp, r->rbp, r->rsi, r->rdi,
		r->r8, r->r9, r->r10, r->r11, r->r12, r->r13, r->r14, r->r15,
	};

	memcpy(gpr, gprs, sizeof(gprs));
}

static void common(struct xen_vcpu *v, const vm_event_request_t *r, struct scry_event *event)
{
	const struct vm_event_regs_x86 *regs = &r->data.regs.x86;

	*event = (struct scry_event){ .vcpu = r->vcpu_id, .rip = regs->rip,
				      .rflags = regs->rflags, .cr3 = regs->cr3,
				      .cpl = xen_cpl(regs), .view = v->view };
	copy_gprs(regs, event->gpr);
}

static bool describe_cr(const vm_event_request_t *r, struct scry_event *event)
{
	static const uint32_t number[] = { 0, 3, 4 };
	uint32_t index = r->u.write_ctrlreg.index;

	if (index == VM_EVENT_X86_XCR0) {
		event->kind = SCRY_EVENT_XSETBV;
		event->xsetbv.old_value = r->u.write_ctrlreg.old_value;
		event->xsetbv.new_value = r->u.write_ctrlreg.new_value;
		return true;
	}
	if (index >= 3)
		return false;
	event->kind = SCRY_EVENT_CR_WRITE;
	event->cr.cr = number[index];
	event->cr.old_value = r->u.write_ctrlreg.old_value;
	event->cr.new_value = r->u.write_ctrlreg.new_value;
	return true;
}

/* MSRs that hold an address, which must be canonical (Intel SDM volume 4, table 2-2). */
static bool holds_address(uint64_t msr)
{
	return (msr >= 0xc0000100 && msr <= 0xc0000102) || msr == 0xc0000082 ||
	       msr == 0xc0000083 || msr == 0x175 || msr == 0x176;
}

static bool describe_msr(const vm_event_request_t *r, struct scry_event *event)
{
	uint64_t value = r->u.mov_to_msr.new_value;

	event->kind = SCRY_EVENT_MSR_WRITE;
	event->msr.index = (uint32_t)r->u.mov_to_msr.msr;
	event->msr.old_value = r->u.mov_to_msr.old_value;
	event->msr.new_value = value;
	event->msr.faults = holds_address(r->u.mov_to_msr.msr) &&
			    (uint64_t)((int64_t)(value << 16) >> 16) != value;
	return true;
}

/* Xen has put the answer into the registers already; what was in RBX and RDX is lost. */
static bool describe_cpuid(const vm_event_request_t *r, struct scry_event *event)
{
	const struct vm_event_regs_x86 *regs = &r->data.regs.x86;

	event->kind = SCRY_EVENT_CPUID;
	event->insn_len = r->u.cpuid.insn_length;
	event->cpuid.leaf = r->u.cpuid.leaf;
	event->cpuid.subleaf = r->u.cpuid.subleaf;
	event->cpuid.eax = (uint32_t)regs->rax;
	event->cpuid.ebx = (uint32_t)regs->rbx;
	event->cpuid.ecx = (uint32_t)regs->rcx;
	event->cpuid.edx = (uint32_t)regs->rdx;
	event->gpr[SCRY_REG_RAX] = r->u.cpuid.leaf;
	event->gpr[SCRY_REG_RCX] = r->u.cpuid.subleaf;
	return event->insn_len <= 15;
}

static bool describe_descriptor(const vm_event_request_t *r, struct scry_event *event)
{
	static const uint32_t table[] = { 0, SCRY_TABLE_IDTR, SCRY_TABLE_GDTR, SCRY_TABLE_LDTR,
					  SCRY_TABLE_TR };
	uint32_t descriptor = r->u.desc_access.descriptor;

	if (!descriptor || descriptor > VM_EVENT_DESC_TR)
		return false;
	event->kind = SCRY_EVENT_DESCRIPTOR;
	event->desc.table = table[descriptor];
	event->desc.access = r->u.desc_access.is_write ? SCRY_WRITE : SCRY_READ;
	return true;
}

/* It comes in an altp2m: a view's, or one that a step is made in. */
static void set_view(const struct xen_events *e, const vm_event_request_t *r,
		     struct scry_event *event)
{
	int view = r->flags & VM_EVENT_FLAG_ALTERNATE_P2M ?
		   xen_view_of(&e->views, r->altp2m_idx) : -1;

	if (view >= 0)
		event->view = (uint32_t)view;
}

static bool describe_memory(const vm_event_request_t *r, struct scry_event *event)
{
	const struct vm_event_mem_access *m = &r->u.mem_access;

	if (m->offset >= XEN_PAGE_SIZE || event->view >= XEN_ALTP2MS)
		return false;
	event->kind = SCRY_EVENT_MEMORY;
	event->memory.gpa = m->gfn << 12 | m->offset;
	event->memory.gva = m->flags & MEM_ACCESS_GLA_VALID ? m->gla : 0;
	event->memory.walk = !!(m->flags & MEM_ACCESS_FAULT_IN_GPT);
	event->memory.access = (m->flags & MEM_ACCESS_R ? SCRY_READ : 0) |
			       (m->flags & MEM_ACCESS_W ? SCRY_WRITE : 0) |
			       (m->flags & MEM_ACCESS_X ? SCRY_EXEC : 0);
	/* The walker reads; that it writes bits into entries is not told apart. */
	if (event->memory.walk)
		event->memory.access = SCRY_READ;
	return event->memory.access;
}

static bool describe_debug(const vm_event_request_t *r, struct scry_event *event)
{
	event->kind = SCRY_EVENT_INTERRUPT;
	event->interrupt.type = SCRY_INTERRUPT_EXCEPTION;
	event->interrupt.vector = 1;
	/* ICEBP: the guest returns behind it. */
	if (r->u.debug_exception.type == XEN_DMOP_EVENT_pri_sw_exc)
		event->rip += r->u.debug_exception.insn_length;
	return true;
}

/*
 * What Xen is about to inject when the vCPU goes on.  Our own injections are no events; nor
 * is an instruction's, INT n, which is executed once more.
 */
static bool describe_next(struct xen_vcpu *v, const vm_event_request_t *r,
			  struct scry_event *event)
{
	uint32_t vector = r->u.interrupt.x86.vector, type = r->u.interrupt.x86.type;
	bool own = v->own == vector + 1;

	v->next = false;
	v->own = 0;
	if (own || vector > 255 || type == XEN_DMOP_EVENT_sw_int || type > XEN_DMOP_EVENT_pri_sw_exc)
		return false;
	event->kind = SCRY_EVENT_INTERRUPT;
	event->interrupt.type = type == XEN_DMOP_EVENT_ext_int ? SCRY_INTERRUPT_HARDWARE :
				type == XEN_DMOP_EVENT_nmi ? SCRY_INTERRUPT_NMI :
				SCRY_INTERRUPT_EXCEPTION;
	event->interrupt.vector = (uint8_t)vector;
	if (event->interrupt.type != SCRY_INTERRUPT_EXCEPTION)
		return true;
	event->interrupt.has_error = xen_has_error_code(vector);
	if (event->interrupt.has_error)
		event->interrupt.error_code = r->u.interrupt.x86.error_code;
	if (vector == 14)
		event->interrupt.cr2 = r->u.interrupt.x86.cr2;
	return true;
}

/*
 * One that is not in the guest's code was ours, of a breakpoint that has gone since: the
 * guest's own instruction is to be executed.
 */
static bool was_ours(struct xen_events *e, const vm_event_request_t *r,
		     const struct scry_event *event)
{
	uint64_t frame = xen_view_target(&e->views, event->view, r->u.software_breakpoint.gfn);
	uint8_t byte;

	return e->views.on && r->u.software_breakpoint.insn_length == 1 &&
	       scry_read_phys(e->vm, frame << 12 | event->rip % XEN_PAGE_SIZE, &byte, 1) == 0 &&
	       byte != INT3;
}

static bool describe_int3(struct xen_events *e, const vm_event_request_t *r,
			  struct scry_event *event)
{
	int number = xen_breakpoint_at(e, r->u.software_breakpoint.gfn, event);

	event->insn_len = r->u.software_breakpoint.insn_length;
	event->kind = number < 0 ? SCRY_EVENT_INT3 : SCRY_EVENT_BREAKPOINT;
	if (number >= 0)
		event->breakpoint.number = (uint32_t)number;
	if (number < 0 && was_ours(e, r, event)) {
		event->kind = SCRY_EVENT_BREAKPOINT;
		return false;
	}
	return event->insn_len <= 15;
}

static bool describe_kind(struct xen_events *e, struct xen_vcpu *v, const vm_event_request_t *r,
			  struct scry_event *event)
{
	switch (r->reason) {
	case VM_EVENT_REASON_WRITE_CTRLREG:
		return describe_cr(r, event);
	case VM_EVENT_REASON_MOV_TO_MSR:
		return describe_msr(r, event);
	case VM_EVENT_REASON_CPUID:
		return describe_cpuid(r, event);
	case VM_EVENT_REASON_DESCRIPTOR_ACCESS:
		return describe_descriptor(r, event);
	case VM_EVENT_REASON_MEM_ACCESS:
		return describe_memory(r, event);
	case VM_EVENT_REASON_DEBUG_EXCEPTION:
		return describe_debug(r, event);
	case VM_EVENT_REASON_SOFTWARE_BREAKPOINT:
		return describe_int3(e, r, event);
	case VM_EVENT_REASON_INTERRUPT:
		return describe_next(v, r, event);
	case VM_EVENT_REASON_SINGLESTEP:
		event->kind = SCRY_EVENT_STEP;
		return true;
	case VM_EVENT_REASON_GUEST_REQUEST:
		event->kind = SCRY_EVENT_HYPERCALL;
		return true;
	default:
		return false;
	}
}

static bool has_insn(const struct scry_event *event)
{
	return event->kind != SCRY_EVENT_STEP && event->kind != SCRY_EVENT_INTERRUPT;
}

/*
 * Xen calls each write a read, too, because a processor need not tell: the instruction
 * does.  False if what it does is not trapped, but only what EPT cannot tell from it.
 */
static bool set_access(const struct xen_events *e, const struct xen_insn *insn,
		       struct scry_event *event)
{
	uint32_t *access = &event->memory.access;

	if (*access & SCRY_WRITE && insn->len && !insn->reads)
		*access = SCRY_WRITE;
	*access &= xen_view_traps(&e->views, event->view, event->memory.gpa >> 12);
	if (!*access)
		return false;
	if (insn->locked && !event->memory.walk && !(*access & SCRY_EXEC))
		*access = SCRY_READ | SCRY_WRITE;
	return true;
}

/* The bytes that one access touches, where the instruction tells. */
static void set_size(const struct xen_insn *insn, struct scry_event *event)
{
	uint64_t in_page = XEN_PAGE_SIZE - event->memory.gpa % XEN_PAGE_SIZE;
	uint32_t size = event->memory.access == SCRY_EXEC ? insn->len : insn->size;

	if (event->memory.walk)
		size = 8;
	if (event->memory.access == SCRY_EXEC && event->memory.gva != event->rip)
		size = 0;
	event->memory.size = size < in_page ? size : (uint32_t)in_page;
}

bool xen_describe(struct xen_events *e, struct xen_vcpu *v, const vm_event_request_t *r,
		  struct scry_event *event)
{
	common(v, r, event);
	set_view(e, r, event);
	if (!describe_kind(e, v, r, event) || !xen_wanted(e, event->kind))
		return false;
	v->insn = (struct xen_insn){ 0 };
	if (has_insn(event))
		xen_insn_read(e->vm, &v->as, &e->views, event->view, &r->data.regs.x86, &v->insn);
	if (has_insn(event) && !event->insn_len)
		event->insn_len = v->insn.len;
	if (event->kind != SCRY_EVENT_MEMORY)
		return true;
	if (!set_access(e, &v->insn, event))
		return false;
	set_size(&v->insn, event);
	return true;
}
