/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "wire.h"

static const struct {
	const char *name;
	int8_t id[2];
} commands[] = {
#define COMMAND(NAME, class, v7, v12) { #NAME, { v7, v12 } },
	KVMI_COMMANDS(COMMAND)
}, events[] = {
#define EVENT(NAME, v7, v12) { #NAME, { v7, v12 } },
	KVMI_EVENTS(EVENT)
};

/* Bytes of an event's own part. */
static const uint8_t part_size[2][KVMI_EVENT_COUNT] = {
#define BOTH \
	[KVMI_EVENT_BREAKPOINT] = sizeof(struct kvmi_event_breakpoint), \
	[KVMI_EVENT_CR] = sizeof(struct kvmi_event_cr), \
	[KVMI_EVENT_TRAP] = sizeof(struct kvmi_event_trap), \
	[KVMI_EVENT_DESCRIPTOR] = sizeof(struct kvmi_event_descriptor), \
	[KVMI_EVENT_MSR] = sizeof(struct kvmi_event_msr), \
	[KVMI_EVENT_PF] = sizeof(struct kvmi_event_pf), \
	[KVMI_EVENT_SINGLESTEP] = sizeof(struct kvmi_event_singlestep)
	[KVMI_V7] = { BOTH,
		      [KVMI_EVENT_CMD_ERROR] = sizeof(struct kvmi_v7_event_cmd_error),
		      [KVMI_EVENT_CPUID] = sizeof(struct kvmi_v7_event_cpuid) },
	[KVMI_V12] = { BOTH, [KVMI_EVENT_XSETBV] = sizeof(struct kvmi_v12_event_xsetbv) },
};

int kvmi_command_id(enum kvmi_generation generation, enum kvmi_command command)
{
	return commands[command].id[generation];
}

int kvmi_event_id(enum kvmi_generation generation, enum kvmi_event event)
{
	return events[event].id[generation];
}

const char *kvmi_command_name(enum kvmi_command command)
{
	return commands[command].name;
}

const char *kvmi_event_name(enum kvmi_event event)
{
	return events[event].name;
}

static void add(struct kvmi_call *call, const void *part, size_t len)
{
	if (len)
		memcpy(call->head + call->head_len, part, len);
	call->head_len += len;
}

struct kvmi_call kvmi_vm_call(enum kvmi_command command, const void *request, size_t len)
{
	struct kvmi_call call = { .command = command };

	add(&call, request, len);
	return call;
}

struct kvmi_call kvmi_vcpu_call(enum kvmi_command command, unsigned vcpu, const void *request,
				size_t len)
{
	const struct kvmi_vcpu to = { .vcpu = (uint16_t)vcpu };
	struct kvmi_call call = kvmi_vm_call(command, &to, sizeof(to));

	add(&call, request, len);
	return call;
}

struct kvmi_call kvmi_pause_call(enum kvmi_generation generation, unsigned vcpu)
{
	const struct kvmi_v12_pause v12 = { .vcpu = (uint16_t)vcpu, .wait = 1 };
	const struct kvmi_v7_pause v7 = { .wait = 1 };

	if (generation == KVMI_V7)
		return kvmi_vcpu_call(KVMI_PAUSE, vcpu, &v7, sizeof(v7));
	return kvmi_vm_call(KVMI_PAUSE, &v12, sizeof(v12));
}

struct kvmi_call kvmi_cr_call(enum kvmi_generation generation, unsigned vcpu, unsigned cr,
			      bool enable)
{
	const struct kvmi_v12_control_cr v12 = { .cr = (uint8_t)cr, .enable = enable };
	const struct kvmi_v7_control_cr v7 = { .enable = enable, .cr = cr };

	return kvmi_vcpu_call(KVMI_CONTROL_CR, vcpu,
			      generation == KVMI_V7 ? (const void *)&v7 : &v12, sizeof(v12));
}

struct kvmi_call kvmi_access_call(enum kvmi_generation generation, unsigned view,
				  const struct kvmi_page_access_entry *entry, size_t count)
{
	const struct kvmi_v12_page_access v12 = { .count = (uint16_t)count };
	const struct kvmi_v7_page_access v7 = { .view = (uint16_t)view, .count = (uint16_t)count };
	struct kvmi_call call = kvmi_vm_call(KVMI_SET_PAGE_ACCESS, generation == KVMI_V7 ?
					     (const void *)&v7 : &v12, sizeof(v12));

	call.data = entry;
	call.data_len = count * sizeof(*entry);
	return call;
}

struct kvmi_call kvmi_events_call(enum kvmi_generation generation, enum kvmi_event event,
				  int vcpu, bool enable)
{
	const struct kvmi_control_events control = {
		.event = (uint16_t)kvmi_event_id(generation, event), .enable = enable,
	};

	if (vcpu < 0)
		return kvmi_vm_call(KVMI_VM_CONTROL_EVENTS, &control, sizeof(control));
	return kvmi_vcpu_call(KVMI_VCPU_CONTROL_EVENTS, (unsigned)vcpu, &control, sizeof(control));
}

struct kvmi_call kvmi_msr_call(unsigned vcpu, uint32_t msr, bool enable)
{
	const struct kvmi_control_msr control = { .enable = enable, .msr = msr };

	return kvmi_vcpu_call(KVMI_CONTROL_MSR, vcpu, &control, sizeof(control));
}

struct kvmi_call kvmi_step_call(unsigned vcpu, bool enable)
{
	const struct kvmi_singlestep step = { .enable = enable };

	return kvmi_vcpu_call(KVMI_CONTROL_SINGLESTEP, vcpu, &step, sizeof(step));
}

struct kvmi_call kvmi_view_call(unsigned vcpu, unsigned view)
{
	const struct kvmi_v7_view set = { .view = (uint16_t)view };

	return kvmi_vcpu_call(KVMI_SET_EPT_VIEW, vcpu, &set, sizeof(set));
}

struct kvmi_call kvmi_memory_call(enum kvmi_command command, uint64_t gpa, size_t len)
{
	const struct kvmi_physical physical = { .gpa = gpa, .size = len };

	return kvmi_vm_call(command, &physical, sizeof(physical));
}

void kvmi_call_header(enum kvmi_generation generation, const struct kvmi_call *call, uint32_t seq,
		      struct kvmi_header *header)
{
	*header = (struct kvmi_header){
		.id = (uint16_t)kvmi_command_id(generation, call->command),
		.size = (uint16_t)(call->head_len + call->data_len),
		.seq = seq,
	};
}

bool kvmi_take_reply(struct kvmi_call *call, const void *payload, size_t len)
{
	struct kvmi_status status;

	if (len < sizeof(status))
		return false;
	memcpy(&status, payload, sizeof(status));
	len -= sizeof(status);
	call->reply_len = 0;
	if (status.err > 0 || status.err < -4095)
		return false;
	call->err = -status.err;
	if (status.err)
		return true;
	if (len < call->reply_min || len > call->reply_max)
		return false;
	call->reply_len = len;
	if (call->reply && len)
		memcpy(call->reply, (const char *)payload + sizeof(status), len);
	return true;
}

bool kvmi_is_event(enum kvmi_generation generation, uint16_t id)
{
	if (generation == KVMI_V7)
		return id == KVMI_V7_EVENT;
	return id == KVMI_V12_VM_EVENT || id == KVMI_V12_VCPU_EVENT;
}

static int event_of(enum kvmi_generation generation, unsigned id)
{
	for (int i = 0; i < KVMI_EVENT_COUNT; i++)
		if (events[i].id[generation] == (int)id)
			return i;
	return KVMI_NONE;
}

/* Are its values such as there are? */
static bool is_sane(const struct kvmi_occurrence *o)
{
	switch (o->event) {
	case KVMI_EVENT_CR:
		return o->part.cr.cr == 0 || o->part.cr.cr == 3 || o->part.cr.cr == 4;
	case KVMI_EVENT_DESCRIPTOR:
		return o->part.descriptor.descriptor >= KVMI_IDTR &&
		       o->part.descriptor.descriptor <= KVMI_TR;
	case KVMI_EVENT_PF:
		return o->part.pf.access && o->part.pf.access <= 7;
	case KVMI_EVENT_BREAKPOINT:
		return o->part.breakpoint.insn_len <= 15;
	case KVMI_EVENT_CPUID:
		return o->part.cpuid.insn_len <= 15;
	default:
		return true;
	}
}

/* What v12 says before the part that both generations have; which that is. */
static const uint8_t *take_kind(enum kvmi_generation generation, const struct kvmi_header *header,
				const uint8_t *payload, size_t *len, unsigned *id)
{
	struct kvmi_v12_event v12;

	if (generation == KVMI_V7) {
		*id = *len >= sizeof(struct kvmi_v7_event) ?
			payload[offsetof(struct kvmi_v7_event, event)] : UINT16_MAX;
		return payload;
	}
	*id = UINT16_MAX;
	if (*len < sizeof(v12))
		return payload;
	memcpy(&v12, payload, sizeof(v12));
	if ((header->id == KVMI_V12_VM_EVENT) == !v12.event)
		*id = v12.event;
	*len -= sizeof(v12);
	return payload + sizeof(v12);
}

bool kvmi_take_event(enum kvmi_generation generation, const struct kvmi_header *header,
		     const void *payload, struct kvmi_occurrence *o)
{
	struct kvmi_v12_common common;	/* alike in v7 as far as it is read here */
	size_t len = header->size, part;
	const uint8_t *at;
	unsigned id;
	int event;

	at = take_kind(generation, header, payload, &len, &id);
	event = event_of(generation, id);
	if (event < 0)
		return false;
	memset(o, 0, sizeof(*o));
	o->event = (enum kvmi_event)event;
	o->seq = header->seq;
	if (event == KVMI_EVENT_UNHOOK)
		return true;
	if (len < sizeof(common))
		return false;
	memcpy(&common, at, sizeof(common));
	part = part_size[generation][event];
	if (common.size < sizeof(common) || common.size > len || len - common.size < part)
		return false;
	o->vcpu = common.vcpu;
	o->arch = common.arch;
	memcpy(o->part.bytes, at + common.size, part);
	return is_sane(o);
}

size_t kvmi_make_answer(enum kvmi_generation generation, const struct kvmi_occurrence *o,
			enum kvmi_action action, uint64_t value, struct kvmi_event_answer *a)
{
	size_t size = offsetof(struct kvmi_event_answer, value);

	memset(a, 0, sizeof(*a));
	a->vcpu.vcpu = (uint16_t)o->vcpu;
	a->reply.action = (uint8_t)action;
	a->reply.event = (uint8_t)kvmi_event_id(generation, o->event);
	if (o->event == KVMI_EVENT_CR || o->event == KVMI_EVENT_MSR) {
		a->value.new_value = value;
		size += sizeof(a->value);
	} else if (o->event == KVMI_EVENT_PF && generation == KVMI_V7) {
		size += sizeof(a->pf);
	}
	a->header.id = generation == KVMI_V7 ? KVMI_V7_EVENT_REPLY : KVMI_V12_VCPU_EVENT;
	a->header.seq = o->seq;
	a->header.size = (uint16_t)(size - sizeof(a->header));
	return size;
}
