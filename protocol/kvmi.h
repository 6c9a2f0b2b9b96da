/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_KVMI_H
#define SCRY_KVMI_H

/*
 * KVMI, the wire protocol between an introspection tool and a KVM-VMI kernel, as
 * the two generations in the wild speak it: `v7` (the branch kvmi-v7, Linux 5.4)
 * and `v12` (Linux 5.15).  Both say that they are version 1; what QEMU's handshake
 * is long, and what GET_VERSION answers, tells them apart.
 *
 * The tool listens on a stream socket.  QEMU connects, sends struct
 * kvmi_handshake, takes struct kvmi_answer, and hands the connection to its
 * kernel.  From then on both sides send a struct kvmi_header and its payload:
 * the tool commands and event replies, the kernel replies (struct kvmi_status
 * first) and events.  Little-endian; structs as the compiler lays them out; what
 * is called pad is zero.
 *
 * kvmi_command.h and kvmi_event.h have the payloads.
 */
#include <stddef.h>
#include <stdint.h>

/* struct `type` has that many bytes, and its field lies there. */
#define KVMI_SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type)
#define KVMI_AT(type, field, offset) \
	_Static_assert(offsetof(type, field) == (offset), #type "." #field)

enum kvmi_generation { KVMI_V7, KVMI_V12 };

/* QEMU's greeting; v7's QEMU ends it before max_gpa.  Its own size is what counts. */
struct kvmi_handshake {
	uint32_t size;		/* of all of it */
	uint8_t uuid[16];
	uint32_t pad;
	int64_t start_time;	/* seconds since 1970 */
	char name[64];		/* ends with NUL, unless it fills it */
	uint64_t max_gpa;	/* end of guest RAM */
};

KVMI_SIZE(struct kvmi_handshake, 104);
KVMI_AT(struct kvmi_handshake, uuid, 4);
KVMI_AT(struct kvmi_handshake, start_time, 24);
KVMI_AT(struct kvmi_handshake, name, 32);
KVMI_AT(struct kvmi_handshake, max_gpa, 96);

#define KVMI_HANDSHAKE_V7    96u	/* bytes */
#define KVMI_HANDSHAKE_V12   104u
#define KVMI_HANDSHAKE_LEAST 32u	/* through start_time */
#define KVMI_HANDSHAKE_MOST  65536u

/* The tool's answer. */
struct kvmi_answer {
	uint32_t size;		/* of all of it */
	uint8_t cookie[20];	/* SHA-1 of the shared secret; looked at only if QEMU has one */
};

KVMI_SIZE(struct kvmi_answer, 24);
KVMI_AT(struct kvmi_answer, cookie, 4);

struct kvmi_header {
	uint16_t id;
	uint16_t size;		/* of the payload */
	uint32_t seq;		/* of a reply: the command's; of an event reply: the event's */
};

KVMI_SIZE(struct kvmi_header, 8);
KVMI_AT(struct kvmi_header, seq, 4);

#define KVMI_PAYLOAD_MOST 8184u		/* a longer one ends the connection */
#define KVMI_MESSAGE_MOST (KVMI_PAYLOAD_MOST + sizeof(struct kvmi_header))

/* Begins the payload of each reply to a command; its data follows only if err is 0. */
struct kvmi_status {
	int32_t err;		/* 0, or one of these negated */
	uint32_t pad;
};

KVMI_SIZE(struct kvmi_status, 8);

/* Linux's numbers, which the wire uses, but for ENOSYS. */
enum kvmi_error {
	KVMI_EPERM = 1,		/* QEMU does not allow it */
	KVMI_ENOENT = 2,	/* no such page, leaf; v12: no such id */
	KVMI_E2BIG = 7,
	KVMI_EAGAIN = 11,	/* the vCPU is not ready */
	KVMI_ENOMEM = 12,
	KVMI_EFAULT = 14,
	KVMI_EBUSY = 16,
	KVMI_EINVAL = 22,
	KVMI_EOPNOTSUPP = 95,
	KVMI_ENOSYS = 1000,	/* no such message */
};

/* Begins the payload of each message to one vCPU. */
struct kvmi_vcpu {
	uint16_t vcpu;		/* index, from 0 */
	uint16_t pad;
	uint32_t pad2;
};

KVMI_SIZE(struct kvmi_vcpu, 8);

#define KVMI_NONE (-1)		/* a generation has no such message or event */

/* Who a command is to: all of the VM, or one vCPU (struct kvmi_vcpu begins it). */
enum kvmi_class { KVMI_VM, KVMI_VCPU };

/*
 * The commands: X(NAME, class, number in v7, in v12).  Where the classes differ
 * (PAUSE) it is v12's.  Numbers of v7 marked * are known from its client library only.
 */
#define KVMI_COMMANDS(X) \
	X(GET_VERSION,           KVMI_VM,   2,  2) \
	X(CHECK_COMMAND,         KVMI_VM,   3,  4) \
	X(CHECK_EVENT,           KVMI_VM,   4,  6) \
	X(GET_INFO,              KVMI_VM,   5,  8) \
	X(VM_CONTROL_EVENTS,     KVMI_VM,   8,  10) \
	X(READ_PHYSICAL,         KVMI_VM,   17, 12) \
	X(WRITE_PHYSICAL,        KVMI_VM,   18, 14) \
	X(PAUSE,                 KVMI_VM,   7,  16) \
	X(CONTROL_CLEANUP,       KVMI_VM,   KVMI_NONE, 18) \
	X(SET_PAGE_ACCESS,       KVMI_VM,   21, 20) \
	X(GET_MAX_GFN,           KVMI_VM,   29, KVMI_NONE) \
	X(GET_MAP_TOKEN,         KVMI_VM,   22, KVMI_NONE) \
	X(CONTROL_SPP,           KVMI_VM,   24, KVMI_NONE) \
	X(SET_PAGE_WRITE_BITMAP, KVMI_VM,   26, KVMI_NONE) \
	X(CONTROL_CMD_RESPONSE,  KVMI_VM,   27, KVMI_NONE) \
	X(SET_PAGE_SVE,          KVMI_VM,   30, KVMI_NONE) \
	X(GET_NEXT_GFN,          KVMI_VM,   31, KVMI_NONE) /* * */ \
	X(QUERY_PHYSICAL,        KVMI_VM,   39, KVMI_NONE) /* * */ \
	X(CREATE_EPT_VIEW,       KVMI_VM,   43, KVMI_NONE) /* * */ \
	X(DESTROY_EPT_VIEW,      KVMI_VM,   44, KVMI_NONE) /* * */ \
	X(VCPU_GET_INFO,         KVMI_VCPU, 6,  3) \
	X(VCPU_CONTROL_EVENTS,   KVMI_VCPU, 9,  5) \
	X(GET_REGISTERS,         KVMI_VCPU, 13, 7) \
	X(SET_REGISTERS,         KVMI_VCPU, 14, 9) \
	X(GET_CPUID,             KVMI_VCPU, 15, 11) \
	X(CONTROL_CR,            KVMI_VCPU, 10, 13) \
	X(INJECT_EXCEPTION,      KVMI_VCPU, 19, 15) \
	X(GET_XCR,               KVMI_VCPU, 37, 17) \
	X(GET_XSAVE,             KVMI_VCPU, 16, 19) \
	X(SET_XSAVE,             KVMI_VCPU, 38, 21) \
	X(GET_MTRR_TYPE,         KVMI_VCPU, 23, 23) \
	X(CONTROL_MSR,           KVMI_VCPU, 11, 25) \
	X(CONTROL_SINGLESTEP,    KVMI_VCPU, 63, 27) \
	X(TRANSLATE_GVA,         KVMI_VCPU, 35, 29) \
	X(SET_VE_INFO,           KVMI_VCPU, 28, KVMI_NONE) \
	X(DISABLE_VE,            KVMI_VCPU, 33, KVMI_NONE) \
	X(SET_EPT_VIEW,          KVMI_VCPU, 32, KVMI_NONE) \
	X(GET_EPT_VIEW,          KVMI_VCPU, 34, KVMI_NONE) \
	X(CONTROL_EPT_VIEW,      KVMI_VCPU, 36, KVMI_NONE) \
	X(CHANGE_GFN,            KVMI_VCPU, 60, KVMI_NONE) \
	X(ALLOC_GFN,             KVMI_VCPU, 41, KVMI_NONE) /* * */ \
	X(FREE_GFN,              KVMI_VCPU, 42, KVMI_NONE) /* * */

enum kvmi_command {
#define KVMI_COMMAND_ENUM(NAME, class, v7, v12) KVMI_##NAME,
	KVMI_COMMANDS(KVMI_COMMAND_ENUM)
#undef KVMI_COMMAND_ENUM
	KVMI_COMMAND_COUNT
};

#define KVMI_V7_IDS 64u		/* its ids are below */

/* Ids of what is no command. */
enum {
	KVMI_V7_EVENT = 1,		/* kernel to tool */
	KVMI_V7_EVENT_REPLY = 0,	/* tool to kernel */
	KVMI_V12_VM_EVENT = 0,		/* kernel to tool, no vCPU's: UNHOOK */
	KVMI_V12_VCPU_EVENT = 1,	/* both ways: an event, and the reply to it */
};

/* The events: X(NAME, number in v7, in v12). */
#define KVMI_EVENTS(X) \
	X(UNHOOK,      0,  0) \
	X(PAUSE,       10, 1) \
	X(HYPERCALL,   5,  3) \
	X(BREAKPOINT,  4,  5) \
	X(CR,          1,  7) \
	X(TRAP,        7,  9) \
	X(XSETBV,      3,  11) \
	X(DESCRIPTOR,  8,  13) \
	X(MSR,         2,  15) \
	X(PF,          6,  17) \
	X(SINGLESTEP,  11, 19) \
	X(CREATE_VCPU, 9,  KVMI_NONE) \
	X(CMD_ERROR,   12, KVMI_NONE) \
	X(CPUID,       13, KVMI_NONE)

enum kvmi_event {
#define KVMI_EVENT_ENUM(NAME, v7, v12) KVMI_EVENT_##NAME,
	KVMI_EVENTS(KVMI_EVENT_ENUM)
#undef KVMI_EVENT_ENUM
	KVMI_EVENT_COUNT
};

/* What a reply to an event says. */
enum kvmi_action { KVMI_CONTINUE, KVMI_RETRY, KVMI_CRASH };

/* Accesses: allowed (SET_PAGE_ACCESS), or not (the event PF). */
enum { KVMI_READ = 1, KVMI_WRITE = 2, KVMI_EXEC = 4 };

enum kvmi_descriptor { KVMI_IDTR = 1, KVMI_GDTR, KVMI_LDTR, KVMI_TR };

#define KVMI_UNMAPPED UINT64_MAX	/* an address that there is none for */

/* The agent's hypercall: rax, rdi and rsi, or eax, ebx and ecx in 32 bits. */
#define KVMI_HYPERCALL       34u
#define KVMI_HYPERCALL_EVENT 24u

#endif
