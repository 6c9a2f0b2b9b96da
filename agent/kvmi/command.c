/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "agent/accel.h"
#include "agent/event/inject.h"
#include "agent/vcpu/regs.h"
#include "agent/vcpu/xsave.h"
#include "answer.h"
#include "command.h"
#include "fault.h"
#include "ids.h"
#include "mtrr.h"
#include "options.h"
#include "out.h"
#include "registers.h"
#include "serve.h"
#include "view.h"
#include "watch.h"

/* Where CPUID's numbers of leaves begin (Intel SDM volume 2, CPUID; hypervisors' own). */
#define LEAVES_HYPERVISOR 0x40000000u
#define LEAVES_EXTENDED   0x80000000u

/* The data of an answer. */
struct answer {
	uint8_t bytes[KVMI_PAYLOAD_MOST - sizeof(struct kvmi_status)];
	size_t size;
};

static void put(struct answer *to, const void *data, size_t size)
{
	memcpy(to->bytes + to->size, data, size);
	to->size += size;
}

/* TCG reads as 0 what it does not know; where no processor has an MSR, a kernel refuses. */
static bool can_be_msr(uint32_t index)
{
	return index < KVMI_MSR_RANGE || index >> 16 == 0x4000 || index >> 16 == 0xc000 ||
	       index >> 16 == 0xc001;
}

static int get_registers(struct kvmi_state *state, const struct kvmi_request *r,
			 struct answer *answer)
{
	struct kvmi_registers_reply reply = { .msrs = r->msrs.count };

	reply.mode = kvmi_registers_get(state->vcpu, &reply.gprs, &reply.sregs);
	put(answer, &reply, sizeof(reply));
	for (unsigned i = 0; i < r->msrs.count; i++) {
		struct kvmi_msr msr = { 0 };

		memcpy(&msr.index, r->msrs.indexes + i * sizeof(msr.index), sizeof(msr.index));
		if (!can_be_msr(msr.index) ||
		    accel->msr_read(state->vcpu, msr.index, &msr.value) < 0)
			return -KVMI_EINVAL;
		put(answer, &msr, sizeof(msr));
	}
	return 0;
}

/* They take effect with the reply to the event. */
static int set_registers(struct kvmi_state *state, const struct kvmi_request *r)
{
	struct scry_regs now, wanted;
	char text[160];
	uint64_t mask;

	if (!state->waits)
		return -KVMI_EOPNOTSUPP;
	vcpu_step_out(state->vcpu);
	if (accel->regs_get(state->vcpu, &now) < 0)
		return -KVMI_EINVAL;
	wanted = now;
	mask = kvmi_gprs_put(&r->gprs, &wanted);
	if (regs_check(state->vcpu->cpu, &now, &wanted, mask, text, sizeof(text)) < 0)
		return -KVMI_EINVAL;
	state->gprs = r->gprs;
	state->sets = true;
	return 0;
}

static int get_cpuid(struct kvmi_state *state, const struct kvmi_request *r, struct answer *answer)
{
	uint32_t leaf = r->cpuid.leaf, first = leaf & (LEAVES_HYPERVISOR | LEAVES_EXTENDED), last;
	struct qemu_env *env = cpu_env(state->vcpu->cpu);
	struct kvmi_cpuid_reply reply;
	uint32_t unused;

	qemu.cpu_x86_cpuid(env, first, 0, &last, &unused, &unused, &unused);
	if (leaf != first && leaf > last)
		return -KVMI_ENOENT;
	qemu.cpu_x86_cpuid(env, leaf, r->cpuid.subleaf, &reply.eax, &reply.ebx, &reply.ecx,
			   &reply.edx);
	put(answer, &reply, sizeof(reply));
	return 0;
}

static int control_events(struct kvmi_state *state, const struct kvmi_request *r)
{
	uint32_t bit = 1u << r->events.event;

	if (!kvmi_event_allowed(r->events.event))
		return -KVMI_EPERM;
	if (!kvmi_can_watch(r->events.event))
		return -KVMI_EOPNOTSUPP;
	if (r->events.enable)
		atomic_fetch_or(&state->events, bit);
	else
		atomic_fetch_and(&state->events, ~bit);
	return kvmi_watch(state);
}

static int control_cr(struct kvmi_state *state, const struct kvmi_request *r)
{
	uint32_t bit = 1u << r->intercept.number;

	if (r->intercept.enable)
		atomic_fetch_or(&state->crs, bit);
	else
		atomic_fetch_and(&state->crs, ~bit);
	return kvmi_watch(state);
}

static int control_msr(struct kvmi_state *state, const struct kvmi_request *r)
{
	unsigned n = kvmi_msr_bit(r->intercept.number);
	uint64_t bit = UINT64_C(1) << n % 64;

	if (r->intercept.enable)
		atomic_fetch_or(&state->msrs[n / 64], bit);
	else
		atomic_fetch_and(&state->msrs[n / 64], ~bit);
	return kvmi_watch(state);
}

static int control_step(struct kvmi_state *state, const struct kvmi_request *r)
{
	if (kvmi_options.generation == KVMI_V12 && !kvmi_event_allowed(KVMI_EVENT_SINGLESTEP))
		return -KVMI_EPERM;
	if (!kvmi_can_watch(KVMI_EVENT_SINGLESTEP))
		return kvmi_options.generation == KVMI_V12 ? -KVMI_EOPNOTSUPP : -KVMI_EINVAL;
	atomic_store(&state->steps, r->enable);
	return kvmi_watch(state);
}

static int inject_exception(struct kvmi_state *state, const struct kvmi_request *r)
{
	const struct scry_exception exception = { .vector = r->inject.vector,
						  .error_code = r->inject.error_code,
						  .cr2 = r->inject.cr2 };
	char text[160];

	if (kvmi_options.generation == KVMI_V12) {
		if (!kvmi_event_allowed(KVMI_EVENT_TRAP))
			return -KVMI_EPERM;
		if (atomic_load(&state->steps))
			return -KVMI_EBUSY;
	}
	if (atomic_load(&state->vcpu->injects))
		return -KVMI_EBUSY;
	return inject(state->vcpu, SCRY_INTERRUPT_EXCEPTION, &exception, text, sizeof(text)) < 0 ?
	       -KVMI_EAGAIN : 0;
}

static int get_xsave(struct kvmi_state *state, struct answer *answer)
{
	uint8_t area[SCRY_AGENT_XSAVE] = { 0 };

	if (xsave_get(state->vcpu, area) < 0)
		return -KVMI_EINVAL;
	put(answer, area, KVMI_XSAVE);
	return 0;
}

static int set_xsave(struct kvmi_state *state, const struct kvmi_request *r)
{
	uint32_t size = xsave_size(state->vcpu);
	char text[160];

	if (r->size < size || xsave_put(state->vcpu, r->xsave, size, text, sizeof(text)) < 0)
		return -KVMI_EINVAL;
	return 0;
}

static int put_number(struct answer *answer, uint64_t value)
{
	put(answer, &value, sizeof(value));
	return 0;
}

/* The rest, which v7 alone has. */
static int run_v7(struct kvmi_state *state, const struct kvmi_request *r, struct answer *answer)
{
	switch (r->command) {
	case KVMI_GET_EPT_VIEW:
		return put_number(answer, state->vcpu->view);
	case KVMI_SET_EPT_VIEW:
		return kvmi_view_enter(state, r->view);
	case KVMI_CHANGE_GFN:
		return kvmi_view_change_gfn(state, &r->change_gfn);
	case KVMI_CONTROL_EPT_VIEW:	/* the guest has no VMFUNC to see one with */
		return r->control_view.visible ? -KVMI_EOPNOTSUPP : 0;
	default:			/* SET_VE_INFO, DISABLE_VE */
		return -KVMI_EOPNOTSUPP;
	}
}

static int run(struct kvmi_state *state, const struct kvmi_request *r, struct answer *answer)
{
	switch (r->command) {
	case KVMI_VCPU_GET_INFO:	/* TCG's time-stamp counter has no frequency of its own */
		return put_number(answer, 0);
	case KVMI_VCPU_CONTROL_EVENTS:
		return control_events(state, r);
	case KVMI_GET_REGISTERS:
		return get_registers(state, r, answer);
	case KVMI_SET_REGISTERS:
		return set_registers(state, r);
	case KVMI_GET_CPUID:
		return get_cpuid(state, r, answer);
	case KVMI_CONTROL_CR:
		return control_cr(state, r);
	case KVMI_CONTROL_MSR:
		return control_msr(state, r);
	case KVMI_CONTROL_SINGLESTEP:
		return control_step(state, r);
	case KVMI_INJECT_EXCEPTION:
		return inject_exception(state, r);
	case KVMI_GET_XCR:
		return put_number(answer, accel->xcr0(state->vcpu));
	case KVMI_GET_XSAVE:
		return get_xsave(state, answer);
	case KVMI_SET_XSAVE:
		return set_xsave(state, r);
	case KVMI_GET_MTRR_TYPE:
		return put_number(answer, kvmi_mtrr_type(state->vcpu, r->address));
	case KVMI_TRANSLATE_GVA:
		return put_number(answer, accel->physical(state->vcpu, r->address));
	default:
		return run_v7(state, r, answer);
	}
}

/* What reads or sets more than can be had in the middle of a block. */
static bool needs_rest(enum kvmi_command command)
{
	return command != KVMI_VCPU_GET_INFO && command != KVMI_GET_REGISTERS;
}

static void take_reply(struct kvmi_state *state, const struct kvmi_mail *mail)
{
	if (!state->waits || mail->header.seq != state->seq) {
		kvmi_out_hang_up("the reply to an event that does not wait for one");
	} else if (kvmi_reply_take(kvmi_options.generation, state->event, mail->payload,
				   mail->header.size, &state->reply)) {
		kvmi_out_hang_up("a reply that does not fit its event");
	} else {
		kvmi_fault_reply(state);
		state->waits = false;
	}
}

static void answer(const struct kvmi_mail *mail, int status, const void *data, size_t size)
{
	kvmi_answer(&(struct kvmi_how){ mail->silent, mail->tells_errors }, &mail->header, status,
		    data, size);
}

void kvmi_command(struct kvmi_state *state, const struct kvmi_mail *mail)
{
	enum kvmi_generation generation = kvmi_options.generation;
	int status, command = kvmi_command_of(generation, mail->header.id);
	struct answer result = { .size = 0 };
	struct kvmi_request request;

	if (command == KVMI_NONE) {
		take_reply(state, mail);
		return;
	}
	if (command == KVMI_PAUSE) {	/* which it has done by coming here */
		answer(mail, 0, NULL, 0);
		return;
	}
	status = kvmi_request_take(generation, (enum kvmi_command)command, mail->payload,
				   mail->header.size, &request);
	if (status == KVMI_HANG_UP) {
		kvmi_out_hang_up("a command with wrong padding");
		return;
	}
	if (!status && !state->waits && accel->waits_for_start(state->vcpu))
		status = -KVMI_EAGAIN;
	if (!status) {
		if (needs_rest(request.command))
			vcpu_step_out(state->vcpu);
		status = run(state, &request, &result);
	}
	answer(mail, status, result.bytes, result.size);
}
