/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <scry/error.h>
#include <stdio.h>

#include "agent/accel.h"
#include "agent/event/exception.h"
#include "agent/event/inject.h"
#include "agent/memory/view.h"
#include "agent/vcpu/change.h"
#include "agent/vcpu/regs.h"
#include "agent/vcpu/vcpu.h"
#include "agent/vcpu/xsave.h"
#include "command.h"

#define TEXT mem->text, sizeof(mem->text)

static int fail(struct scry_agent_slot *mem, int code, const char *text)
{
	snprintf(TEXT, "%s", text);
	return code;
}

static int set(struct vcpu *vcpu, uint64_t mask, struct scry_agent_slot *mem)
{
	struct scry_regs regs;

	if (!mask)
		return 0;
	if (mask & ~SCRY_REGS_ALL)
		return fail(mem, SCRY_E_INVAL, "the mask has bits beyond the last register's");
	memcpy(&regs, &mem->regs, sizeof(regs));	/* the client may write there meanwhile */
	return change_registers(vcpu, &regs, mask, TEXT);
}

/* "Deny" is an exception too. */
static void take_action(struct vcpu *vcpu, const struct slot_command *command)
{
	vcpu->answered = true;
	vcpu->action = command->action;
	vcpu->exception = command->exception;
	if (command->action == SCRY_DENY) {
		vcpu->action = SCRY_INJECT;
		vcpu->exception = (struct scry_exception){ .vector = EXCEPTION_GP };
	}
}

static int check_view(const struct slot_command *command, struct scry_agent_slot *mem)
{
	bool step = command->flags == SCRY_REPLY_STEP;

	if (!command->flags)
		return 0;
	if ((!step && command->flags != SCRY_REPLY_VIEW) || (step && command->action != SCRY_CONTINUE))
		return fail(mem, SCRY_E_INVAL, "the reply's flags are not known to this agent");
	if (!view_exists(command->view))
		return fail(mem, SCRY_E_NOTFOUND, "there is no such view");
	return 0;
}

static int move(struct vcpu *vcpu, const struct slot_command *command,
		struct scry_agent_slot *mem)
{
	const char *why = NULL;

	if (command->flags == SCRY_REPLY_STEP) {
		accel->view_step(vcpu, command->view);
	} else if (command->flags) {
		vcpu->over.on = false;
		why = accel->view_enter(vcpu, command->view);
	}
	vcpu->moves |= command->flags && !why;
	return why ? fail(mem, SCRY_E_NOMEM, why) : 0;
}

static int reply(struct vcpu *vcpu, const struct slot_command *command,
		 struct scry_agent_slot *mem)
{
	int status;

	if (command->action > SCRY_INJECT)
		return fail(mem, SCRY_E_INVAL, "the reply's action is not known to this agent");
	if (command->action == SCRY_INJECT && !exception_valid(&command->exception) &&
	    !(vcpu->interrupted && exception_is_interrupt(&command->exception)))
		return fail(mem, SCRY_E_INVAL, "there is no such exception to inject");
	status = check_view(command, mem);
	if (status == 0)
		status = set(vcpu, command->set, mem);
	if (status == 0)
		status = move(vcpu, command, mem);
	if (status == 0)
		take_action(vcpu, command);
	return status;
}

static int set_msr(struct vcpu *vcpu, const struct slot_command *command,
		   struct scry_agent_slot *mem)
{
	if (accel->msr_write(vcpu, command->msr_index, command->msr_value) == 0)
		return 0;
	snprintf(TEXT, "%s refuses 0x%llx for MSR 0x%x, as it would in the guest",
		 accel->name, (unsigned long long)command->msr_value, command->msr_index);
	return SCRY_E_REFUSED;
}

static int get_msr(struct vcpu *vcpu, const struct slot_command *command,
		   struct scry_agent_slot *mem)
{
	uint64_t value;

	if (accel->msr_read(vcpu, command->msr_index, &value) < 0) {
		snprintf(TEXT, "%s refuses to read MSR 0x%x, as it would in the guest",
			 accel->name, command->msr_index);
		return SCRY_E_REFUSED;
	}
	mem->msr_value = value;
	return 0;
}

static int set_xsave(struct vcpu *vcpu, uint64_t len, struct scry_agent_slot *mem)
{
	uint8_t area[SCRY_AGENT_XSAVE];

	memcpy(area, mem->xsave, sizeof(area));
	return xsave_put(vcpu, area, len, TEXT);
}

int command_run(void *opaque, const struct slot_command *command, struct scry_agent_slot *mem)
{
	struct vcpu *vcpu = opaque;

	if (command->op == SCRY_AGENT_OP_REPLY)
		return reply(vcpu, command, mem);
	vcpu_step_out(vcpu);
	switch (command->op) {
	case SCRY_AGENT_OP_REGS_GET:
		return accel->regs_get(vcpu, &mem->regs) < 0 ? fail(mem, SCRY_E_STATE, VCPU_GONE) : 0;
	case SCRY_AGENT_OP_REGS_SET:
		return set(vcpu, command->set, mem);
	case SCRY_AGENT_OP_MSR_GET:
		return get_msr(vcpu, command, mem);
	case SCRY_AGENT_OP_MSR_SET:
		return set_msr(vcpu, command, mem);
	case SCRY_AGENT_OP_XSAVE_GET:
		mem->xsave_size = xsave_size(vcpu);
		return xsave_get(vcpu, mem->xsave) < 0 ? fail(mem, SCRY_E_STATE, VCPU_GONE) : 0;
	case SCRY_AGENT_OP_XSAVE_SET:
		return set_xsave(vcpu, command->set, mem);
	case SCRY_AGENT_OP_INJECT:
		return inject(vcpu, command->action, &command->exception, TEXT);
	default:
		return fail(mem, SCRY_E_PROTOCOL, "the command is not known to this agent");
	}
}
