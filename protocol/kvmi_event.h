/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_KVMI_EVENT_H
#define SCRY_KVMI_EVENT_H

/*
 * Payloads of KVMI's events and of the replies to them.
 *
 * v7:  struct kvmi_v7_event,                          then the event's own part
 * v12: struct kvmi_v12_event, struct kvmi_v12_common, then the event's own part;
 *      UNHOOK is a struct kvmi_v12_event alone.
 * The own part begins where `size` of the common one says.
 */
#include "kvmi_command.h"

/* What every event tells of its vCPU. */
struct kvmi_arch {
	uint8_t mode;		/* bytes of a word: 2, 4 or 8 */
	uint8_t pad;
	uint16_t view;		/* v7: that the vCPU is in */
	uint32_t pad2;
	struct kvmi_gprs gprs;
	struct kvmi_sregs sregs;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip, efer, star, lstar, cstar, pat;
	uint64_t kernel_gs;
};

struct kvmi_v7_event {
	uint16_t size;		/* of this struct */
	uint16_t vcpu;
	uint8_t event;
	uint8_t pad[3];
	struct kvmi_arch arch;
};

struct kvmi_v12_event {
	uint16_t event;
	uint16_t pad[3];
};

struct kvmi_v12_common {
	uint16_t size;		/* of this struct */
	uint16_t vcpu;
	uint32_t pad;
	struct kvmi_arch arch;
};

KVMI_SIZE(struct kvmi_arch, 536);
KVMI_AT(struct kvmi_arch, gprs, 8);
KVMI_AT(struct kvmi_arch, sregs, 152);
KVMI_AT(struct kvmi_arch, sysenter_cs, 464);
KVMI_AT(struct kvmi_arch, kernel_gs, 528);
KVMI_SIZE(struct kvmi_v7_event, 544);
KVMI_AT(struct kvmi_v7_event, event, 4);
KVMI_AT(struct kvmi_v7_event, arch, 8);
KVMI_SIZE(struct kvmi_v12_event, 8);
KVMI_SIZE(struct kvmi_v12_common, 544);
KVMI_AT(struct kvmi_v12_common, arch, 8);

struct kvmi_event_breakpoint {
	uint64_t gpa;
	uint8_t insn_len;
	uint8_t pad[7];
};

struct kvmi_event_cr {
	uint16_t cr;		/* v12: 8 bits of it, then pad */
	uint16_t pad[3];
	uint64_t old_value, new_value;
};

struct kvmi_event_msr {
	uint32_t msr;
	uint32_t pad;
	uint64_t old_value, new_value;
};

struct kvmi_v12_event_xsetbv {	/* v7 tells nothing */
	uint8_t xcr;
	uint8_t pad[7];
	uint64_t old_value, new_value;
};

struct kvmi_event_trap {
	uint8_t vector;
	uint8_t pad[3];
	uint32_t error_code;
	uint64_t cr2;
};

struct kvmi_event_descriptor {
	uint8_t descriptor;	/* enum kvmi_descriptor */
	uint8_t write;		/* 1 = loaded, 0 = stored */
	uint8_t pad[6];
};

struct kvmi_event_pf {
	uint64_t gva;		/* or KVMI_UNMAPPED */
	uint64_t gpa;
	uint8_t access;		/* KVMI_READ, ... */
	uint8_t pad;
	uint16_t view;		/* later v7 only; 0 in the others */
	uint32_t pad2;
};

struct kvmi_event_singlestep {
	uint8_t failed;		/* 1 = something else ended the step */
	uint8_t pad[7];
};

struct kvmi_v7_event_cpuid {
	uint32_t leaf, subleaf;
	uint8_t insn_len;
	uint8_t pad[7];
};

struct kvmi_v7_event_cmd_error {
	int32_t err;
	uint32_t seq;		/* of the command */
	uint16_t id;		/* of the command */
	uint16_t pad[3];
};

KVMI_SIZE(struct kvmi_event_breakpoint, 16);
KVMI_SIZE(struct kvmi_event_cr, 24);
KVMI_AT(struct kvmi_event_cr, new_value, 16);
KVMI_SIZE(struct kvmi_event_msr, 24);
KVMI_SIZE(struct kvmi_v12_event_xsetbv, 24);
KVMI_SIZE(struct kvmi_event_trap, 16);
KVMI_AT(struct kvmi_event_trap, error_code, 4);
KVMI_SIZE(struct kvmi_event_descriptor, 8);
KVMI_SIZE(struct kvmi_event_pf, 24);
KVMI_AT(struct kvmi_event_pf, access, 16);
KVMI_AT(struct kvmi_event_pf, view, 18);
KVMI_SIZE(struct kvmi_event_singlestep, 8);
KVMI_SIZE(struct kvmi_v7_event_cpuid, 16);
KVMI_SIZE(struct kvmi_v7_event_cmd_error, 16);

/* The longest own part of an event. */
#define KVMI_EVENT_PART_MOST 24u

/*
 * The reply to an event: struct kvmi_vcpu, this, and what the kind of event asks
 * for.  UNHOOK and CMD_ERROR have none.
 */
struct kvmi_event_reply {
	uint8_t action;		/* enum kvmi_action */
	uint8_t event;		/* the event's number; not looked at */
	uint16_t pad;
	uint32_t pad2;
};

/* Behind it for CR and MSR; where it is missing it counts as 0. */
struct kvmi_reply_value {
	uint64_t new_value;
};

/* Behind it for PF in v7; where it is missing it counts as zeros.  v12 has none. */
struct kvmi_v7_reply_pf {
	uint64_t gva;		/* from there on the instruction reads data[] instead */
	uint32_t size;		/* bytes of data[]; 0 = none */
	uint8_t singlestep;	/* later kernels only; the others want 0 */
	uint8_t rep_complete;	/* 1 = no more events of this instruction with REP */
	uint16_t pad;
	uint8_t data[256];
};

KVMI_SIZE(struct kvmi_event_reply, 8);
KVMI_AT(struct kvmi_event_reply, event, 1);
KVMI_SIZE(struct kvmi_v7_reply_pf, 272);
KVMI_AT(struct kvmi_v7_reply_pf, rep_complete, 13);
KVMI_AT(struct kvmi_v7_reply_pf, data, 16);

#endif
