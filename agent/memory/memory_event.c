/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/event/arm.h"
#include "agent/event/describe.h"
#include "agent/event/exception.h"
#include "agent/event/execute.h"
#include "agent/event/filter.h"
#include "agent/event/interrupt.h"
#include "agent/event/operand.h"
#include "agent/qemu/restore.h"
#include "look.h"
#include "memory_event.h"
#include "pass.h"
#include "phys.h"
#include "slat.h"
#include "substitute.h"
#include "view.h"

#define PAGE         UINT64_C(4096)
#define LONGEST_INSN 15

/* Plugin interfaces before this one are QEMU 7.2's. */
#define ONE_FILL_A_PAGE 3

/* The access itself: where, and what it needs. */
static struct trap trap_of(const struct vcpu *vcpu, uint64_t gpa)
{
	const struct tlb_access *a = &vcpu->access;
	uint64_t left = PAGE - a->gva % PAGE;

	if (a->walk)
		return (struct trap){ .host_pc = a->host_pc, .gpa = gpa, .gva = a->gva,
				      .access = SCRY_READ, .walk = true, .size = 8,
				      .fetch = a->type == SCRY_EXEC };
	return (struct trap){ .host_pc = a->host_pc, .gva = a->gva, .access = a->type,
			      .fetch = a->type == SCRY_EXEC,
			      .gpa = (gpa & ~(PAGE - 1)) | a->gva % PAGE,
			      .size = a->size < left ? a->size : (uint32_t)left };
}

/* While the processor delivers an exception or interrupt there is no instruction to go back to. */
static bool is_delivery(const struct tlb_access *a)
{
	return !a->host_pc && a->type != SCRY_EXEC;
}

/*
 * QEMU 8.2 and later access devices from a block's last instruction only, and find out when
 * they are about to; what has read the device has been made anew for that already.
 */
static bool meets_device(struct vcpu *vcpu, const struct trap *t)
{
	return qemu.plugin_version >= ONE_FILL_A_PAGE && qemu.cpu_physical_memory_is_io(t->gpa) &&
	       !(t->access == SCRY_WRITE && operand_modifies(vcpu->cpu));
}

/*
 * Can QEMU come here more than once for this access?  A locked instruction it may
 * try again with all other vCPUs halted, where nothing may be waited for.  A
 * fetch that is not of its block's first byte comes while the block is made.
 * What crosses a page 7.2 takes byte by byte, after it has asked for the second;
 * from 8.0 on its size is that of its part in the page.
 */
static bool repeats(struct vcpu *vcpu, const struct trap *t)
{
	const struct tlb_access *a = &vcpu->access;

	if (a->type == SCRY_EXEC)
		return a->gva != code_address(vcpu->cpu);
	if (t->locked || meets_device(vcpu, t))
		return true;
	if (t->walk)
		return false;
	return a->gva % PAGE + a->size >= PAGE ||
	       (qemu.plugin_version < ONE_FILL_A_PAGE && a->gva % PAGE == 0);
}

static void describe_trap(struct vcpu *vcpu, const struct trap *t, struct scry_event *event)
{
	describe_vcpu(vcpu, event);
	event->kind = SCRY_EVENT_MEMORY;
	event->insn_len = t->insn_len;
	event->memory.gva = t->gva;
	event->memory.gpa = t->gpa;
	event->memory.access = t->access;
	event->memory.size = t->size;
	event->memory.walk = t->walk;
}

/* Raise what the reply asks for, or skip; does not return if it asks for that. */
static void divert(struct vcpu *vcpu, const struct trap *t)
{
	if (vcpu->action == SCRY_INJECT)
		exception_raise(vcpu);
	if (vcpu->action == SCRY_SKIP && t->insn_len)
		execute_nothing(vcpu, (struct site){ .len = (uint8_t)t->insn_len });
}

/* It comes next, and passes this. */
static void pass_on(struct vcpu *vcpu, const struct trap *t)
{
	pass_access(vcpu, t);
	/* Behind its fetch comes all else that it is told of, before an access of its own. */
	if (!t->fetch)
		vcpu->passes = vcpu->passes_all = true;
	if (t->access == SCRY_EXEC)
		pass_fetch(vcpu);
	else
		pass_next(vcpu);
}

/* Try the instruction again, past this. */
static void __attribute__((noreturn)) retry(struct vcpu *vcpu, const struct trap *t)
{
	/* QEMU may still know the block of one that crosses into another page. */
	if (t->access == SCRY_EXEC && t->gva % PAGE + LONGEST_INSN > PAGE)
		qemu.tlb_flush(vcpu->cpu);
	pass_on(vcpu, t);
	vcpu_leave(vcpu);
}

/* Where the access is made; rip is the instruction's. */
static void tell(struct vcpu *vcpu, const struct trap *t)
{
	struct tlb_access access = vcpu->access;
	unsigned writes = phys_writes();
	struct scry_event event;
	bool ours;

	describe_trap(vcpu, t, &event);
	ours = vcpu_ask(vcpu, &event);
	vcpu->access = access;
	if (!ours)
		vcpu_leave(vcpu);
	if (is_delivery(&access))
		return;
	if (vcpu->jumps)
		vcpu_leave(vcpu);
	divert(vcpu, t);
	if (vcpu->moves)
		vcpu_leave(vcpu);
	if (vcpu->outside || vcpu->changes || phys_writes() != writes || access.type == SCRY_EXEC)
		retry(vcpu, t);
	pass_access(vcpu, t);
}

/* Tell of it between blocks, before the instruction is tried again. */
static void __attribute__((noreturn)) defer(struct vcpu *vcpu, const struct trap *t)
{
	vcpu->deferred = *t;
	vcpu->deferred.rip = vcpu->rip;
	look_soon(vcpu);
	vcpu_leave(vcpu);
}

static bool wanted(const struct vcpu *vcpu, const struct trap *t)
{
	return arm_filters() && filter_match_memory(arm_filters(), vcpu->index, vcpu->view, t);
}

/*
 * QEMU knows blocks by their pages, and goes from one to the next without a look:
 * where any fetch from a page is wanted, each is to come by.
 */
static bool page_is_wanted(const struct vcpu *vcpu, struct trap t)
{
	t.gpa &= ~(PAGE - 1);
	t.size = PAGE;
	return t.access == SCRY_EXEC && wanted(vcpu, &t);
}

/* The bytes of the instruction at rip that are fetched from this page; 0 = not known. */
static uint32_t fetch_size(struct vcpu *vcpu, const struct trap *t)
{
	uint64_t end = code_address(vcpu->cpu) + t->insn_len, left = PAGE - t->gva % PAGE;

	if (!t->insn_len || end <= t->gva)
		return 0;
	return (uint32_t)(end - t->gva < left ? end - t->gva : left);
}

/* What the instruction says of the access; rip is its own. */
static void look_at_instruction(struct vcpu *vcpu, struct trap *t)
{
	bool locked;

	t->insn_len = operand_insn_len(vcpu->cpu, &locked);
	t->locked = locked && vcpu->access.type != SCRY_EXEC;
	if (t->locked && !t->walk)
		t->access = SCRY_READ | SCRY_WRITE;
	if (t->access == SCRY_EXEC)
		t->size = fetch_size(vcpu, t);
}

/* Only a locked instruction makes a write a read, too. */
static bool could_be_wanted(const struct vcpu *vcpu, struct trap t, uint64_t entry)
{
	if (!t.walk && t.access != SCRY_EXEC)
		t.access = SCRY_READ | SCRY_WRITE;
	return t.access & entry && (wanted(vcpu, &t) || page_is_wanted(vcpu, t));
}

/* Of the access that it makes at its rip.  Returns if it is to take place now. */
static void consider(struct vcpu *vcpu, struct trap *t, uint64_t entry)
{
	bool delivery = is_delivery(&vcpu->access);

	if (pass_has(vcpu, t))
		return;
	if (!delivery)
		look_at_instruction(vcpu, t);
	t->silent = !wanted(vcpu, t);
	if (!(t->access & entry) || (t->silent && !page_is_wanted(vcpu, *t)) || pass_has(vcpu, t))
		return;
	if (!delivery && repeats(vcpu, t))
		defer(vcpu, t);
	if (!t->silent)
		tell(vcpu, t);
	else
		retry(vcpu, t);
}

void memory_event(struct vcpu *vcpu, uint64_t gpa, uint64_t entry)
{
	struct trap t = trap_of(vcpu, gpa);
	uint64_t eip = cpu_get64(vcpu->cpu, cpu_layout.eip);

	if (!could_be_wanted(vcpu, t, entry)) {
		substitute_end(vcpu);
		return;
	}
	if (t.host_pc)
		restore_state(vcpu, t.host_pc);
	vcpu->rip = cpu_get64(vcpu->cpu, cpu_layout.eip);
	consider(vcpu, &t, entry);
	cpu_put64(vcpu->cpu, cpu_layout.eip, eip);
}

/* Ask of the deferred trap.  False: the vCPU has gone elsewhere; *delivered: to a handler. */
static bool ask_deferred(struct vcpu *vcpu, const struct trap *t, bool *delivered)
{
	struct scry_event event;

	describe_trap(vcpu, t, &event);
	if (!vcpu_ask(vcpu, &event) || vcpu->jumps || vcpu->moves)
		return false;
	*delivered = vcpu->action == SCRY_INJECT;
	if (*delivered) {
		interrupt_deliver(vcpu);
		return false;
	}
	divert(vcpu, t);
	return true;
}

bool memory_event_look(struct vcpu *vcpu)
{
	struct trap t = vcpu->deferred;
	bool delivered = false;

	vcpu->deferred.access = 0;
	if (!t.access || cpu_get64(vcpu->cpu, cpu_layout.eip) != t.rip)
		return false;
	vcpu->rip = t.rip;
	if (!t.silent && !ask_deferred(vcpu, &t, &delivered))
		return delivered;
	pass_on(vcpu, &t);
	return false;
}
