/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_KVMI_WIRE_H
#define SCRY_KVMI_WIRE_H

/* KVMI's messages made and taken apart: no state, no input or output. */
#include <stdbool.h>

#include "../../../protocol/kvmi_event.h"

/* Numbers on the wire; KVMI_NONE if the generation has none. */
int kvmi_command_id(enum kvmi_generation generation, enum kvmi_command command);
int kvmi_event_id(enum kvmi_generation generation, enum kvmi_event event);
const char *kvmi_command_name(enum kvmi_command command);
const char *kvmi_event_name(enum kvmi_event event);

/* One command, and what came of it. */
struct kvmi_call {
	enum kvmi_command command;
	uint8_t head[32];		/* how the payload begins */
	size_t head_len;
	const void *data;		/* the rest of it */
	size_t data_len;
	void *reply;			/* for the data of the reply that is no failure; may be NULL */
	size_t reply_min, reply_max;	/* bytes that this may be */

	int err;			/* 0, or the kernel's: enum kvmi_error */
	size_t reply_len;
};

/* A command to all of the VM, whose payload is *request; one to a vCPU, with it behind. */
struct kvmi_call kvmi_vm_call(enum kvmi_command command, const void *request, size_t len);
struct kvmi_call kvmi_vcpu_call(enum kvmi_command command, unsigned vcpu, const void *request,
				size_t len);

/* Those that the generations lay out differently. */
struct kvmi_call kvmi_pause_call(enum kvmi_generation generation, unsigned vcpu);
struct kvmi_call kvmi_cr_call(enum kvmi_generation generation, unsigned vcpu, unsigned cr,
			      bool enable);
struct kvmi_call kvmi_access_call(enum kvmi_generation generation, unsigned view,
				  const struct kvmi_page_access_entry *entry, size_t count);

/* Others that are made in several places. */
struct kvmi_call kvmi_events_call(enum kvmi_generation generation, enum kvmi_event event,
				  int vcpu, bool enable);	/* vcpu -1: the VM's */
struct kvmi_call kvmi_msr_call(unsigned vcpu, uint32_t msr, bool enable);
struct kvmi_call kvmi_step_call(unsigned vcpu, bool enable);
struct kvmi_call kvmi_view_call(unsigned vcpu, unsigned view);
struct kvmi_call kvmi_memory_call(enum kvmi_command command, uint64_t gpa, size_t len);

/* The call as it is sent, but for head and data; its id, too, is in *header. */
void kvmi_call_header(enum kvmi_generation generation, const struct kvmi_call *call, uint32_t seq,
		      struct kvmi_header *header);

/*
 * Take the payload of the reply to a call: fills in its results and *call->reply.
 * False if it is none that a kernel would send.
 */
bool kvmi_take_reply(struct kvmi_call *call, const void *payload, size_t len);

/* Is this message an event, not a reply? */
bool kvmi_is_event(enum kvmi_generation generation, uint16_t id);

/* An event taken apart. */
struct kvmi_occurrence {
	enum kvmi_event event;
	uint32_t seq;
	unsigned vcpu;
	struct kvmi_arch arch;	/* zeros for UNHOOK */
	union {
		struct kvmi_event_breakpoint breakpoint;
		struct kvmi_event_cr cr;
		struct kvmi_event_msr msr;
		struct kvmi_v12_event_xsetbv xsetbv;
		struct kvmi_event_trap trap;
		struct kvmi_event_descriptor descriptor;
		struct kvmi_event_pf pf;
		struct kvmi_event_singlestep step;
		struct kvmi_v7_event_cpuid cpuid;
		struct kvmi_v7_event_cmd_error cmd_error;
		uint8_t bytes[KVMI_EVENT_PART_MOST];
	} part;			/* zeros for those that have none */
};

/* False if it is malformed: too short, of no kind, of values that there are not. */
bool kvmi_take_event(enum kvmi_generation generation, const struct kvmi_header *header,
		     const void *payload, struct kvmi_occurrence *occurrence);

/* The reply to an event, header and all. */
struct kvmi_event_answer {
	struct kvmi_header header;
	struct kvmi_vcpu vcpu;
	struct kvmi_event_reply reply;
	union {
		struct kvmi_reply_value value;
		struct kvmi_v7_reply_pf pf;
	};
};

/* Make it, value being what CR or MSR is to hold; how many bytes of it are sent. */
size_t kvmi_make_answer(enum kvmi_generation generation, const struct kvmi_occurrence *occurrence,
			enum kvmi_action action, uint64_t value, struct kvmi_event_answer *answer);

#endif
