/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_AGENT_PROTOCOL_H
#define SCRY_AGENT_PROTOCOL_H

/*
 * What passes between the agent (inside QEMU) and the driver `qemu` (inside
 * libscry): messages on a SOCK_SEQPACKET unix socket, and one shared-memory
 * area.  Both sides are little-endian x86-64.  Neither trusts the other: each
 * checks every number it takes.
 *
 * Socket: the client sends a request, the agent answers each with one reply,
 * in order.  The hang-up is the death notice, both ways.
 */
#include <stdatomic.h>
#include <stdint.h>

#include <scry/breakpoint.h>
#include <scry/error.h>
#include <scry/event.h>
#include <scry/pt.h>
#include <scry/regs.h>
#include <scry/vm.h>
#include <scry/watchpoint.h>

#define SCRY_AGENT_MAGIC   0x79726373u	/* "scry" */
#define SCRY_AGENT_VERSION 13u		/* step it with every change in this file */

#define SCRY_AGENT_CHUNK   65536u	/* most bytes of memory in one message */
#define SCRY_AGENT_REGIONS 64u		/* most regions in a memory map */
#define SCRY_AGENT_FILES   32u		/* most files behind the regions */
#define SCRY_AGENT_VCPUS   64u
#define SCRY_AGENT_SUBS    64u		/* most subscriptions at a time */
#define SCRY_AGENT_XSAVE   8192u	/* most bytes of an XSAVE area */

enum scry_agent_request {
	SCRY_AGENT_HELLO = 1,	/* first of all; purpose: ask or attach */
	SCRY_AGENT_CAPS,
	SCRY_AGENT_MAP,		/* reply carries the regions' files */
	SCRY_AGENT_READ,	/* guest-physical; reply carries the bytes */
	SCRY_AGENT_WRITE,	/* guest-physical; request carries the bytes */
	SCRY_AGENT_STOP,	/* one vCPU: it comes to its slot and serves it */
	SCRY_AGENT_GO,		/* one vCPU: undoes STOP */
	SCRY_AGENT_CLOCKS,	/* stop (1) or start (0) the guest's clocks */
	SCRY_AGENT_SUBSCRIBE,
	SCRY_AGENT_UNSUBSCRIBE,
	SCRY_AGENT_VIEW,
	SCRY_AGENT_BREAKPOINT,
	SCRY_AGENT_FRAME,
	SCRY_AGENT_PT,		/* begin or end; the reply to `begin` carries the rings' file */
	SCRY_AGENT_WATCHPOINT,
};

/* Begins every message. */
struct scry_agent_header {
	uint32_t type;		/* enum scry_agent_request; the same in the reply */
	int32_t status;		/* reply: 0, or SCRY_E_... and then text is a sentence */
};

/* A reply with status < 0 is this, whatever was asked. */
struct scry_agent_failure {
	struct scry_agent_header header;
	char text[240];
};

enum scry_agent_purpose {
	SCRY_AGENT_ASK,		/* one WELCOME, then the agent hangs up */
	SCRY_AGENT_ATTACH,	/* become the client */
	SCRY_AGENT_LEAVE,	/* have the agent leave QEMU; the reply, with no more, says that it has */
};

struct scry_agent_hello {
	struct scry_agent_header header;
	uint32_t magic, version;
	uint32_t purpose;	/* enum scry_agent_purpose */
	uint32_t reply_timeout_ms;	/* ATTACH: longest wait for a reply, 0 = for ever */
	char build[32];		/* scry's version, for the sentence when `version` differs */
};

/*
 * For ATTACH the reply carries two files: the shared area, and a socket that
 * the agent signals as scry_agent_shared.sleep says.
 */
struct scry_agent_welcome {
	struct scry_agent_header header;
	uint32_t magic, version;
	uint32_t vcpus;
	int32_t pid;		/* QEMU's own; in another PID namespace trust SO_PEERCRED */
	int32_t client_pid;	/* client attached now, or 0 */
	uint32_t reserved;
	uint64_t ram_bytes;
	uint64_t shared_size;	/* bytes of the shared area */
	char build[32];
	char name[64];
	char hypervisor[96];
};

struct scry_agent_caps {
	struct scry_agent_header header;
	struct {
		uint32_t supported;
		char reason[156];	/* why not, or a note; "" for nothing to say */
	} cap[SCRY_CAP_COUNT];
};

struct scry_agent_region {
	uint64_t gpa, size;
	uint64_t host;		/* address in QEMU's process */
	int32_t file;		/* index of the file passed along, -1 = none */
	uint32_t flags;		/* SCRY_REGION_ROM, SCRY_REGION_DEVICE; or _FRAMES below */
	uint64_t file_offset;
};

/* scry_agent_region.flags: memory of the client's own (scry_frame_create()), not the guest's. */
#define SCRY_AGENT_REGION_FRAMES 0x80000000u

struct scry_agent_map {
	struct scry_agent_header header;
	uint32_t count;		/* of region[], by ascending gpa, not overlapping */
	uint32_t files;		/* passed along with SCM_RIGHTS */
	uint64_t life;		/* scry_agent_shared.life, as one word, that this map is of */
	struct scry_agent_region region[SCRY_AGENT_REGIONS];
};

/* READ and WRITE, both ways; data[] is in the WRITE request and the READ reply. */
struct scry_agent_memory {
	struct scry_agent_header header;
	uint64_t gpa;
	uint64_t len;		/* at most SCRY_AGENT_CHUNK */
	uint8_t data[];
};

/*
 * STOP, GO (value = vCPU), CLOCKS, UNSUBSCRIBE (value = number); SUBSCRIBE's reply.
 * FRAME: value = a frame to destroy, 0 = create one; the reply's value is the frame.
 */
struct scry_agent_value {
	struct scry_agent_header header;
	uint64_t value;
};

struct scry_agent_subscribe {
	struct scry_agent_header header;
	struct scry_subscription sub;
};

enum scry_agent_view_op {
	SCRY_AGENT_VIEW_CREATE,		/* like `view`; the reply's value is the new one */
	SCRY_AGENT_VIEW_DESTROY,
	SCRY_AGENT_VIEW_PROTECT,	/* count frames from gfn on; argument = access */
	SCRY_AGENT_VIEW_REMAP,		/* gfn; argument = target */
	SCRY_AGENT_VIEW_SWITCH,		/* argument = vCPU */
};

/* The reply is a struct scry_agent_value. */
struct scry_agent_view {
	struct scry_agent_header header;
	uint32_t op;			/* enum scry_agent_view_op */
	uint32_t view;
	uint64_t gfn, count, argument;
};

/* The reply is a struct scry_agent_value with the number. */
struct scry_agent_breakpoint {
	struct scry_agent_header header;
	int64_t remove;			/* this number; 0 = add `breakpoint` */
	struct scry_breakpoint breakpoint;
};

/* The same of a watchpoint. */
struct scry_agent_watchpoint {
	struct scry_agent_header header;
	int64_t remove;			/* this number; 0 = add `watchpoint` */
	struct scry_watchpoint watchpoint;
};

/* The reply is a struct scry_agent_value: bytes that each ring takes of the file. */
struct scry_agent_pt {
	struct scry_agent_header header;
	uint32_t begin;			/* 1, or 0 = end */
	uint32_t reserved;
	struct scry_pt_opts opts;	/* ring is not 0 */
};

/*
 * A ring of Intel PT packets, one a vCPU: this page, then its data.  Bytes
 * tail to head - 1 (modulo the data's size, a power of two) are there to be read.
 */
struct scry_agent_ring {
	_Alignas(64) _Atomic uint64_t head;	/* the vCPU writes it */
	_Alignas(64) _Atomic uint64_t tail;	/* the client does */
};

#define SCRY_AGENT_RING_HEAD 4096u

/*
 * Shared area: one page of struct scry_agent_shared, then one slot a vCPU,
 * each SCRY_AGENT_SLOT_SIZE bytes.
 */

/*
 * owner is the agent's service thread by a robust futex (the kernel sets
 * FUTEX_OWNER_DIED in it when that thread ends, however QEMU dies);
 * generation, never 0, steps when the memory map changes.  Read as one 64-bit
 * word it is the `life` of struct scry_ram.
 */
struct scry_agent_life {
	_Atomic uint32_t owner;
	_Atomic uint32_t generation;
};

enum scry_agent_sleep {
	SCRY_AGENT_AWAKE,	/* the client looks at the slots itself */
	SCRY_AGENT_FUTEX,	/* step `bell` and futex-wake it */
	SCRY_AGENT_SOCKET,	/* send a byte to the socket */
};

struct scry_agent_shared {
	_Alignas(64) struct scry_agent_life life;
	_Alignas(64) _Atomic uint32_t sleep;	/* client writes: enum scry_agent_sleep */
	_Atomic uint32_t times;		/* client writes: 1 = put time_ns into events */
	_Alignas(64) _Atomic uint32_t bell;	/* futex */
	/* vCPU + 1 whose event had no reply in time, for which the agent has hung up; or 0. */
	_Alignas(64) _Atomic uint32_t late;
};

/* What a client may ask of a vCPU that is stopped. */
enum scry_agent_op {
	SCRY_AGENT_OP_REPLY = 1,	/* to the event */
	SCRY_AGENT_OP_REGS_GET,
	SCRY_AGENT_OP_REGS_SET,
	SCRY_AGENT_OP_MSR_GET,
	SCRY_AGENT_OP_MSR_SET,
	SCRY_AGENT_OP_XSAVE_GET,
	SCRY_AGENT_OP_XSAVE_SET,
	SCRY_AGENT_OP_INJECT,
};

/*
 * A vCPU that waits for a reply, or was asked to STOP, "stops": it serves the
 * commands of its slot until neither holds.
 *
 * Event: the vCPU fills `event`, steps `event_seq`, then looks at the shared
 * `sleep`.  Command (stopped vCPU only): the client fills op and its
 * arguments, steps `command`, and futex-wakes it if `vcpu_sleeps`; the vCPU
 * carries it out, writes `status` and results, and sets `done` to the value of
 * `command`, futex-waking it if `client_sleeps`.  Both sides spin for a
 * bounded time before they sleep.  A stopped vCPU has `stopped` = 1.
 */
struct scry_agent_slot {
	/* The vCPU writes these: an event at once, as the client watches event_seq. */
	_Alignas(64) _Atomic uint32_t event_seq;
	_Atomic uint32_t vcpu_sleeps;
	struct scry_event event;

	/* The client writes these. */
	_Alignas(64) _Atomic uint32_t command;	/* futex */
	_Atomic uint32_t client_sleeps;
	uint32_t op;			/* enum scry_agent_op */
	uint32_t action;		/* REPLY: enum scry_action; INJECT: scry_interrupt_type */
	uint64_t set;			/* REPLY, REGS_SET: mask of registers in regs;
					 * XSAVE_SET: bytes in xsave[] */
	uint32_t msr_index;
	uint32_t flags;			/* REPLY: SCRY_REPLY_... */
	struct scry_exception exception;	/* INJECT, REPLY with SCRY_INJECT */
	uint32_t view;			/* REPLY with such flags */

	/* Either, by the command. */
	uint64_t msr_value;
	_Alignas(64) struct scry_regs regs;
	_Alignas(64) uint8_t xsave[SCRY_AGENT_XSAVE];
	char text[240];			/* status < 0: a sentence */

	/*
	 * The vCPU writes these.  Not behind the event, or a processor that fetches
	 * lines ahead takes them away from it.
	 */
	_Alignas(64) _Atomic uint32_t stopped;	/* futex */
	_Atomic uint32_t done;		/* futex */
	int32_t status;			/* of the last command: 0 or SCRY_E_* */
	uint32_t xsave_size;		/* bytes used of xsave[] */
};

#define SCRY_AGENT_SHARED_HEAD 4096u
#define SCRY_AGENT_SLOT_SIZE   12288u

_Static_assert(sizeof(struct scry_agent_life) == 8, "read as one word");
_Static_assert(sizeof(struct scry_agent_shared) <= SCRY_AGENT_SHARED_HEAD, "one page");
_Static_assert(sizeof(struct scry_agent_slot) <= SCRY_AGENT_SLOT_SIZE, "slot size");

#endif
