/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVMI_REQUEST_H
#define AGENT_KVMI_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "protocol/kvmi_event.h"

/*
 * A command of the tool, checked as far as it can be without looking at the VM,
 * and the same for both generations.  Knows nothing of QEMU, so that it can be
 * tested alone.
 */
struct kvmi_request {
	enum kvmi_command command;
	unsigned vcpu;		/* of KVMI_VCPU's commands, and of PAUSE */
	union {
		uint16_t id;			/* CHECK_COMMAND, CHECK_EVENT */
		bool enable;			/* CONTROL_CLEANUP, CONTROL_SINGLESTEP */
		bool wait;			/* PAUSE */
		uint16_t view;			/* SET_EPT_VIEW */
		uint64_t address;		/* GET_MTRR_TYPE, TRANSLATE_GVA */
		struct kvmi_v7_cmd_response response;
		struct kvmi_v7_control_view control_view;
		struct kvmi_v7_change_gfn change_gfn;
		struct kvmi_cpuid cpuid;
		struct kvmi_inject inject;
		struct kvmi_gprs gprs;		/* SET_REGISTERS */
		struct {			/* both CONTROL_EVENTS */
			enum kvmi_event event;
			bool enable;
		} events;
		struct {			/* CONTROL_CR, CONTROL_MSR */
			uint32_t number;
			bool enable;
		} intercept;
		struct {			/* READ_PHYSICAL, WRITE_PHYSICAL */
			uint64_t gpa;
			uint32_t size;
			const uint8_t *data;
		} physical;
		struct {			/* SET_PAGE_ACCESS */
			uint16_t view, count;
			const uint8_t *entries;
		} access;
		struct {			/* GET_REGISTERS */
			uint16_t count;
			const uint8_t *indexes;
		} msrs;
		const uint8_t *xsave;		/* SET_XSAVE, as long as the message is */
	};
	size_t size;			/* SET_XSAVE: of xsave[] */
};

/* The tool has broken the protocol so that a kernel ends the connection. */
#define KVMI_HANG_UP 1

/*
 * Look at a command's payload, whose data the request then points into.  0, the
 * error to answer, negated, or KVMI_HANG_UP.  Is it one that is allowed, and the
 * vCPU one that there is?  That is not looked at here.
 */
int kvmi_request_take(enum kvmi_generation generation, enum kvmi_command command,
		      const uint8_t *payload, size_t size, struct kvmi_request *request);

/* The vCPU of a message to one: the same results. */
int kvmi_vcpu_take(enum kvmi_generation generation, const uint8_t *payload, size_t size,
		   unsigned *vcpu);

/* One entry of SET_PAGE_ACCESS.  0 or the error. */
int kvmi_access_take(const uint8_t *entries, unsigned n, struct kvmi_page_access_entry *entry);

/* What the tool answers to an event. */
struct kvmi_reply {
	enum kvmi_action action;
	uint64_t new_value;		/* CR, MSR */
	struct kvmi_v7_reply_pf pf;	/* v7: PF */
};

/* 0 or KVMI_HANG_UP. */
int kvmi_reply_take(enum kvmi_generation generation, enum kvmi_event event,
		    const uint8_t *payload, size_t size, struct kvmi_reply *reply);

/* Does it answer with data, when it does not fail? */
bool kvmi_answers_data(enum kvmi_command command);

#endif
