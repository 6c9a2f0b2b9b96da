/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/accel.h"
#include "agent/event/exception.h"
#include "agent/vcpu/change.h"
#include "event.h"
#include "fault.h"
#include "options.h"
#include "serve.h"

#define OPCODE_INT3 0xcc

static bool is_wanted(struct kvmi_state *state, enum kvmi_event event)
{
	return atomic_load(&state->events) >> event & 1;
}

/* The guest goes on at its rip, whatever is there now; or is about to be reset. */
static void again(struct vcpu *vcpu)
{
	vcpu->jumps = true;
}

bool kvmi_event_ask(struct kvmi_state *state, enum kvmi_event event, const void *part, size_t size)
{
	struct vcpu *vcpu = state->vcpu;

	if (!kvmi_ask(state, event, part, size))
		return false;
	if (state->reply.action != KVMI_CONTINUE)
		again(vcpu);
	return !vcpu->jumps;
}

/* The instruction has been carried out already, or is not to be. */
static void skip(struct vcpu *vcpu)
{
	vcpu->action = SCRY_SKIP;
}

static void fault(struct vcpu *vcpu)
{
	vcpu->action = SCRY_INJECT;
	vcpu->exception = (struct scry_exception){ .vector = EXCEPTION_GP };
}

static int put(struct vcpu *vcpu, enum scry_reg reg, uint64_t value)
{
	const struct scry_regs regs = { .gpr[SCRY_REG_RAX] = value, .cr0 = value, .cr3 = value,
					.cr4 = value, .xcr0 = value };
	char text[160];

	return change_registers(vcpu, &regs, SCRY_REG_BIT(reg), text, sizeof(text));
}

static void on_cr(struct kvmi_state *state, const struct scry_event *e)
{
	const struct kvmi_event_cr part = { .cr = (uint16_t)e->cr.cr, .old_value = e->cr.old_value,
					    .new_value = e->cr.new_value };
	enum scry_reg reg = e->cr.cr == 0 ? SCRY_REG_CR0 : e->cr.cr == 3 ? SCRY_REG_CR3 : SCRY_REG_CR4;
	uint64_t value;

	if (!(atomic_load(&state->crs) >> e->cr.cr & 1) || part.old_value == part.new_value ||
	    !kvmi_event_ask(state, KVMI_EVENT_CR, &part, sizeof(part)))
		return;
	value = state->reply.new_value;
	if (value == part.new_value && !state->sets)
		return;
	if (value != part.old_value && put(state->vcpu, reg, value) < 0)
		fault(state->vcpu);
	else
		skip(state->vcpu);
}

static bool wants_msr(struct kvmi_state *state, uint32_t index)
{
	unsigned bit = kvmi_msr_bit(index);

	return (index < KVMI_MSR_RANGE || index - KVMI_MSR_HIGH < KVMI_MSR_RANGE) &&
	       atomic_load(&state->msrs[bit / 64]) >> bit % 64 & 1;
}

static void on_msr(struct kvmi_state *state, const struct scry_event *e)
{
	const struct kvmi_event_msr part = { .msr = e->msr.index, .old_value = e->msr.old_value,
					     .new_value = e->msr.new_value };
	uint64_t value;

	if (!wants_msr(state, part.msr) || e->msr.faults || part.old_value == part.new_value ||
	    !kvmi_event_ask(state, KVMI_EVENT_MSR, &part, sizeof(part)))
		return;
	value = state->reply.new_value;
	/* Another register than it was is none that it comes from. */
	if (value == part.new_value && !state->sets)
		return;
	if (value != part.old_value) {
		vcpu_step_out(state->vcpu);
		if (accel->msr_write(state->vcpu, part.msr, value) < 0) {
			fault(state->vcpu);
			return;
		}
	}
	skip(state->vcpu);
}

/* The tool is told of it when it has taken place. */
static void on_xsetbv(struct kvmi_state *state, const struct scry_event *e)
{
	const struct kvmi_v12_event_xsetbv part = { .old_value = e->xsetbv.old_value,
						    .new_value = e->xsetbv.new_value };

	if (e->xsetbv.index || part.old_value == part.new_value ||
	    put(state->vcpu, SCRY_REG_XCR0, part.new_value) < 0)
		return;
	skip(state->vcpu);
	kvmi_event_ask(state, KVMI_EVENT_XSETBV, &part,
		       kvmi_options.generation == KVMI_V12 ? sizeof(part) : 0);
}

/* INT 3 of two bytes is an interrupt that a hypervisor does not see. */
static void on_int3(struct kvmi_state *state, const struct scry_event *e)
{
	uint64_t at = code_address(state->vcpu->cpu);
	const struct kvmi_event_breakpoint part = { .gpa = accel->physical(state->vcpu, at),
						    .insn_len = (uint8_t)e->insn_len };
	uint8_t opcode;

	/* One byte can be nothing else, and may be in the view's own frame, where this does not look. */
	if (e->insn_len > 1 &&
	    (qemu.cpu_memory_rw_debug(state->vcpu->cpu, at + e->insn_len - 1, &opcode, 1, false) != 0 ||
	     opcode != OPCODE_INT3))
		return;
	kvmi_event_ask(state, KVMI_EVENT_BREAKPOINT, &part, sizeof(part));
}

static void on_descriptor(struct kvmi_state *state, const struct scry_event *e)
{
	static const uint8_t number[] = { [SCRY_TABLE_GDTR] = KVMI_GDTR,
					  [SCRY_TABLE_IDTR] = KVMI_IDTR,
					  [SCRY_TABLE_LDTR] = KVMI_LDTR,
					  [SCRY_TABLE_TR] = KVMI_TR };
	const struct kvmi_event_descriptor part = { .descriptor = number[e->desc.table & 3],
						    .write = e->desc.access == SCRY_WRITE };

	kvmi_event_ask(state, KVMI_EVENT_DESCRIPTOR, &part, sizeof(part));
}

/* The guest asks for it by name; what other hypercalls do is QEMU's business. */
static void on_hypercall(struct kvmi_state *state, const struct scry_event *e)
{
	const uint64_t *gpr = e->gpr;
	bool wide = cpu_hflags(state->vcpu->cpu) & HF_CS64;

	if (gpr[SCRY_REG_RAX] != KVMI_HYPERCALL ||
	    gpr[wide ? SCRY_REG_RDI : SCRY_REG_RBX] != KVMI_HYPERCALL_EVENT ||
	    gpr[wide ? SCRY_REG_RSI : SCRY_REG_RCX] != 0)
		return;
	kvmi_event_ask(state, KVMI_EVENT_HYPERCALL, NULL, 0);
	put(state->vcpu, SCRY_REG_RAX, 0);
	skip(state->vcpu);
}

static void on_cpuid(struct kvmi_state *state, const struct scry_event *e)
{
	const struct kvmi_v7_event_cpuid part = { .leaf = e->cpuid.leaf,
						  .subleaf = e->cpuid.subleaf,
						  .insn_len = (uint8_t)e->insn_len };

	kvmi_event_ask(state, KVMI_EVENT_CPUID, &part, sizeof(part));
}

static void on_step(struct kvmi_state *state)
{
	const struct kvmi_event_singlestep part = { 0 };

	if (atomic_load(&state->steps))
		kvmi_event_ask(state, KVMI_EVENT_SINGLESTEP, &part, sizeof(part));
}

static enum kvmi_event event_of(const struct scry_event *event)
{
	switch (event->kind) {
	case SCRY_EVENT_CR_WRITE:
		return KVMI_EVENT_CR;
	case SCRY_EVENT_MSR_WRITE:
		return KVMI_EVENT_MSR;
	case SCRY_EVENT_XSETBV:
		return KVMI_EVENT_XSETBV;
	case SCRY_EVENT_INT3:
		return KVMI_EVENT_BREAKPOINT;
	case SCRY_EVENT_DESCRIPTOR:
		return KVMI_EVENT_DESCRIPTOR;
	case SCRY_EVENT_HYPERCALL:
		return KVMI_EVENT_HYPERCALL;
	case SCRY_EVENT_CPUID:
		return KVMI_EVENT_CPUID;
	case SCRY_EVENT_MEMORY:
		return KVMI_EVENT_PF;
	default:
		return KVMI_EVENT_SINGLESTEP;
	}
}

static void tell(struct kvmi_state *state, const struct scry_event *event)
{
	switch (event->kind) {
	case SCRY_EVENT_CR_WRITE:
		on_cr(state, event);
		break;
	case SCRY_EVENT_MSR_WRITE:
		on_msr(state, event);
		break;
	case SCRY_EVENT_XSETBV:
		on_xsetbv(state, event);
		break;
	case SCRY_EVENT_INT3:
		on_int3(state, event);
		break;
	case SCRY_EVENT_DESCRIPTOR:
		on_descriptor(state, event);
		break;
	case SCRY_EVENT_HYPERCALL:
		on_hypercall(state, event);
		break;
	case SCRY_EVENT_CPUID:
		on_cpuid(state, event);
		break;
	case SCRY_EVENT_MEMORY:
		kvmi_fault(state, event);
		break;
	case SCRY_EVENT_STEP:
		on_step(state);
		break;
	}
}

void kvmi_event(struct kvmi_state *state, const struct scry_event *event)
{
	bool always = kvmi_options.generation == KVMI_V12 && event->kind == SCRY_EVENT_STEP;

	if (always || is_wanted(state, event_of(event)))
		tell(state, event);
	else if (event->kind == SCRY_EVENT_MEMORY)
		kvmi_fault_end(state);
	/* Told of or not, it is not as if the client had gone. */
	state->vcpu->answered = !kvmi_is_released(state);
}

void kvmi_event_trap(struct kvmi_state *state)
{
	const struct scry_exception *e = &state->vcpu->injection;
	const struct kvmi_event_trap part = { .vector = (uint8_t)e->vector,
					      .error_code = e->error_code,
					      .cr2 = e->vector == EXCEPTION_PF ? e->cr2 : 0 };

	kvmi_ask(state, KVMI_EVENT_TRAP, &part, sizeof(part));
}
