/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>
#include <sys/ioctl.h>

#include "events.h"
#include "halt.h"

#include <xen/sys/evtchn.h>

/*
 * What Xen has done when it tells of an event differs from kind to kind: it holds the
 * write of a control register or an MSR back until the answer, and is behind the
 * instruction already; it has made the write of XCR0; it has put CPUID's answer into
 * the registers, and is at the instruction.  Here all come to mean the same.
 */

void xen_notify(struct xen_events *e)
{
	struct ioctl_evtchn_notify notify = { .port = e->port };

	ioctl(e->evtchn, IOCTL_EVTCHN_NOTIFY, &notify);
}

static uint64_t *gpr_of(struct vm_event_regs_x86 *r, unsigned reg)
{
	uint64_t *gprs[16] = {
		&r->rax, &r->rcx, &r->rdx, &r->rbx, &r->rsp, &r->rbp, &r->rsi, &r->rdi,
		&r->r8, &r->r9, &r->r10, &r->r11, &r->r12, &r->r13, &r->r14, &r->r15,
	};

	return gprs[reg];
}

/* Registers as in the event, with those of the answer in their place, at that rip. */
static void set_registers(struct xen_vcpu *v, const struct xen_answer *a,
			  vm_event_response_t *response, uint64_t rip)
{
	struct vm_event_regs_x86 *r = &response->data.regs.x86;

	for (unsigned i = 0; i < 16; i++)
		*gpr_of(r, i) = a->set >> i & 1 ? a->regs->gpr[i] : v->event.gpr[i];
	r->rflags = a->set & SCRY_REG_BIT(SCRY_REG_RFLAGS) ? a->regs->rflags : v->event.rflags;
	r->rip = a->set & SCRY_REG_BIT(SCRY_REG_RIP) ? a->regs->rip : rip;
	response->flags |= VM_EVENT_FLAG_SET_REGISTERS;
}

/* What Xen has done, or is to do behind the answer, is not to be. */
static int cancel(struct xen_events *e, unsigned vcpu, const vm_event_request_t *r,
		  vm_event_response_t *response)
{
	struct scry_regs regs = { .xcr0 = r->u.write_ctrlreg.old_value,
				  .cr0 = r->u.write_ctrlreg.old_value };

	if (r->reason == VM_EVENT_REASON_MOV_TO_MSR)
		response->flags |= VM_EVENT_FLAG_DENY;
	if (r->reason != VM_EVENT_REASON_WRITE_CTRLREG)
		return 0;
	response->flags |= VM_EVENT_FLAG_DENY;
	response->u.write_ctrlreg = r->u.write_ctrlreg;
	if (r->u.write_ctrlreg.index == VM_EVENT_X86_XCR0)
		return xen_regs_write(e->vm, vcpu, &regs, SCRY_REG_BIT(SCRY_REG_XCR0));
	if (r->u.write_ctrlreg.index == VM_EVENT_X86_CR0 && e->vcpu[vcpu].insn.clts)
		return xen_regs_write(e->vm, vcpu, &regs, SCRY_REG_BIT(SCRY_REG_CR0));
	return 0;
}

/* Xen is about to inject something: it is not to be. */
static int drop_next(struct xen_events *e, unsigned vcpu, const vm_event_request_t *r)
{
	return r->reason == VM_EVENT_REASON_INTERRUPT ? xen_drop_pending(e->vm, vcpu) : 0;
}

/* One step elsewhere; then the vCPU is back in its view. */
static void step_in(struct xen_events *e, unsigned vcpu, uint16_t idx,
		    vm_event_response_t *response)
{
	response->flags |= VM_EVENT_FLAG_ALTERNATE_P2M;
	response->altp2m_idx = idx;
	/* One that steps anyway comes by after it, and is sent back then. */
	if (e->watchdog->shared->stepping >> vcpu & 1)
		return;
	response->flags |= VM_EVENT_FLAG_FAST_SINGLESTEP;
	response->u.fast_singlestep.p2midx = e->views.view[e->vcpu[vcpu].view].idx;
}

/* The access that an event told of takes place, where nothing is trapped. */
static void pass_access(struct xen_events *e, unsigned vcpu, const vm_event_request_t *r,
			unsigned view, vm_event_response_t *response)
{
	/* What is written to a page with breakpoints, their copy of it is to have, too. */
	if (r->u.mem_access.flags & MEM_ACCESS_W && xen_shadow_of(e, r->u.mem_access.gfn)) {
		e->vcpu[vcpu].refresh = 1 + r->u.mem_access.gfn;
		e->vcpu[vcpu].moves = true;
		xen_arm(e);
	}
	if (e->monitor_caps >> XEN_DOMCTL_MONITOR_EVENT_SINGLESTEP & 1) {
		step_in(e, vcpu, xen_view_twin(&e->views, view), response);
		return;
	}
	/* Without the trap flag Xen's emulator makes it; told which, or it would come again. */
	response->flags |= VM_EVENT_FLAG_EMULATE;
	response->u.mem_access = r->u.mem_access;
}

/* #BP or #DB as the guest would have got it. */
static int inject_own(struct xen_events *e, const vm_event_request_t *r, uint8_t vector)
{
	const struct xen_injected injected = {
		.vector = vector, .type = r->u.debug_exception.type,
		.insn_len = (uint8_t)r->u.debug_exception.insn_length, .error_code = ~0u,
		.cr2 = r->u.debug_exception.pending_dbg,
	};

	return xen_inject_event(e, r->vcpu_id, &injected);
}

/* Execute the instruction once more, with other registers or in another view, untold of. */
static int restart(struct xen_events *e, unsigned vcpu, const struct xen_answer *a,
		   vm_event_response_t *response)
{
	struct xen_vcpu *v = &e->vcpu[vcpu];
	const vm_event_request_t *r = &e->watchdog->shared->vcpu[vcpu].request;

	set_registers(v, a, response, r->data.regs.x86.rip);
	/* In a step elsewhere, the step begins anew. */
	if (a->flags == SCRY_REPLY_STEP)
		step_in(e, vcpu, e->views.view[a->view].idx, response);
	else if (!a->flags && response->altp2m_idx != r->altp2m_idx)
		step_in(e, vcpu, r->altp2m_idx, response);
	if (!(a->set & SCRY_REG_BIT(SCRY_REG_RIP))) {
		v->pass_reason = r->reason;
		v->pass_rip = response->data.regs.x86.rip;
		v->pass_idx = response->altp2m_idx;
	}
	return cancel(e, vcpu, r, response);
}

static void behind_cpuid(const vm_event_request_t *r, vm_event_response_t *response)
{
	response->data.regs.x86 = r->data.regs.x86;
	response->data.regs.x86.rip += r->u.cpuid.insn_length;
	response->flags |= VM_EVENT_FLAG_SET_REGISTERS;
}

static bool is_int3(const struct xen_vcpu *v)
{
	return v->event.kind == SCRY_EVENT_INT3 || v->event.kind == SCRY_EVENT_INTERRUPT;
}

/* As if nobody had watched. */
static int go_on(struct xen_events *e, unsigned vcpu, const struct xen_answer *a,
		 vm_event_response_t *response)
{
	struct xen_vcpu *v = &e->vcpu[vcpu];
	const vm_event_request_t *r = &e->watchdog->shared->vcpu[vcpu].request;
	bool at_insn = r->reason == VM_EVENT_REASON_CPUID ||
		       r->reason == VM_EVENT_REASON_WRITE_CTRLREG ||
		       r->reason == VM_EVENT_REASON_MOV_TO_MSR ||
		       r->reason == VM_EVENT_REASON_GUEST_REQUEST;

	if (at_insn && a->set)
		return restart(e, vcpu, a, response);
	if (a->set)
		set_registers(v, a, response, r->data.regs.x86.rip);
	if (a->set & SCRY_REG_BIT(SCRY_REG_RIP))
		return drop_next(e, vcpu, r);
	switch (r->reason) {
	case VM_EVENT_REASON_CPUID:
		behind_cpuid(r, response);
		return 0;
	case VM_EVENT_REASON_SOFTWARE_BREAKPOINT:
		if (is_int3(v))
			return inject_own(e, r, 3);
		step_in(e, vcpu, xen_view_twin(&e->views, v->event.view), response);
		return 0;
	case VM_EVENT_REASON_DEBUG_EXCEPTION:
		return inject_own(e, r, 1);
	case VM_EVENT_REASON_MEM_ACCESS:
		pass_access(e, vcpu, r, v->event.view, response);
		return 0;
	case VM_EVENT_REASON_DESCRIPTOR_ACCESS:
		response->flags |= VM_EVENT_FLAG_EMULATE;
		return 0;
	default:
		return 0;
	}
}

/* The instruction at its place, but in another view, for good or for one step. */
static int go_elsewhere(struct xen_events *e, unsigned vcpu, const struct xen_answer *a,
			vm_event_response_t *response)
{
	struct xen_vcpu *v = &e->vcpu[vcpu];
	const vm_event_request_t *r = &e->watchdog->shared->vcpu[vcpu].request;
	int ret = restart(e, vcpu, a, response);

	/* What a view traps there is told of; an interrupt is no instruction. */
	if (r->reason == VM_EVENT_REASON_MEM_ACCESS || r->reason == VM_EVENT_REASON_INTERRUPT)
		v->pass_reason = 0;
	return ret;
}

/* Behind the instruction without its effect; of an exception: dropped. */
static int skip(struct xen_events *e, unsigned vcpu, const struct xen_answer *a,
		vm_event_response_t *response)
{
	struct xen_vcpu *v = &e->vcpu[vcpu];
	const vm_event_request_t *r = &e->watchdog->shared->vcpu[vcpu].request;
	int ret = drop_next(e, vcpu, r);

	set_registers(v, a, response, v->event.rip + v->event.insn_len);
	return ret < 0 ? ret : cancel(e, vcpu, r, response);
}

static const struct scry_exception protection = { .vector = 13 };

static int raise(struct xen_events *e, unsigned vcpu, const struct xen_answer *a,
		 vm_event_response_t *response)
{
	struct xen_vcpu *v = &e->vcpu[vcpu];
	const vm_event_request_t *r = &e->watchdog->shared->vcpu[vcpu].request;
	int ret;

	set_registers(v, a, response, v->event.rip);
	ret = cancel(e, vcpu, r, response);
	if (!ret)
		ret = drop_next(e, vcpu, r);
	return ret < 0 ? ret : xen_inject_exception(e, vcpu, a->action == SCRY_INJECT ?
							    a->exception : &protection);
}

static int act(struct xen_events *e, unsigned vcpu, const struct xen_answer *a,
	       vm_event_response_t *response)
{
	const struct xen_vcpu *v = &e->vcpu[vcpu];

	switch (a->action) {
	case SCRY_DENY:
	case SCRY_INJECT:
		return raise(e, vcpu, a, response);
	case SCRY_SKIP:
		if (v->event.insn_len || v->event.kind == SCRY_EVENT_INTERRUPT)
			return skip(e, vcpu, a, response);
		break;
	default:
		break;
	}
	if (a->flags)
		return go_elsewhere(e, vcpu, a, response);
	/* Xen would raise it behind the instruction. */
	if (v->event.kind == SCRY_EVENT_MSR_WRITE && v->event.msr.faults && !a->set)
		return raise(e, vcpu, &(struct xen_answer){ .action = SCRY_INJECT,
							    .exception = &protection }, response);
	return go_on(e, vcpu, a, response);
}

static int put(struct xen_events *e, unsigned vcpu, const vm_event_response_t *response)
{
	struct xen_shared *s = e->watchdog->shared;

	if (!xen_shared_lock(s))
		return xen_events_ended(e);
	xen_ring_answer(s, e->page, vcpu, response);
	xen_shared_unlock(s);
	xen_notify(e);
	return 0;
}

/* Once, of the first that there is from now on: told again it would be for ever. */
static void ask_for_next(struct xen_events *e, unsigned vcpu, vm_event_response_t *response)
{
	if (!e->armed.next || response->reason == VM_EVENT_REASON_INTERRUPT)
		return;
	response->flags |= VM_EVENT_FLAG_GET_NEXT_INTERRUPT;
	e->vcpu[vcpu].next = true;
}

int xen_answer(struct xen_events *e, unsigned vcpu, const struct xen_answer *answer)
{
	struct xen_shared *s = e->watchdog->shared;
	struct xen_vcpu *v = &e->vcpu[vcpu];
	vm_event_response_t response;
	int ret;

	xen_halt_over(e, vcpu);
	xen_ring_response(&s->vcpu[vcpu].request, &response);
	v->pass_reason = 0;
	/* What was injected before has come and gone untold. */
	if (!v->next)
		v->own = 0;
	if (e->views.on) {
		response.flags |= VM_EVENT_FLAG_ALTERNATE_P2M;
		response.altp2m_idx = e->views.view[v->view].idx;
	}
	ret = act(e, vcpu, answer, &response);
	ask_for_next(e, vcpu, &response);
	if (ret < 0)
		return ret;
	xen_halt_answer(e, vcpu, &response);
	return put(e, vcpu, &response);
}

void xen_pass(struct xen_events *e, unsigned vcpu)
{
	static const struct xen_answer nothing = { .action = SCRY_CONTINUE };
	vm_event_response_t response;

	if (xen_answer(e, vcpu, &nothing) == 0)
		return;
	/* What could not be injected comes again, if the instruction raises it again. */
	xen_ring_response(&e->watchdog->shared->vcpu[vcpu].request, &response);
	put(e, vcpu, &response);
}
