/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_DECODE_H
#define AGENT_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <scry/event.h>

enum site_form {
	SITE_PLAIN,		/* the kind says it all; MOV to and from CR */
	SITE_LMSW_REGISTER,
	SITE_LMSW_MEMORY,
	SITE_CLTS,
	SITE_SMSW,
	SITE_VMMCALL,
	SITE_SYSENTER,
	SITE_RDTSCP,
};

/* site.io: how a port is accessed; the number is that of the port where it is in the instruction. */
#define SITE_IO_OUT    1u
#define SITE_IO_BYTE   2u
#define SITE_IO_SHORT  4u	/* the other of 2 and 4 bytes than the mode's */
#define SITE_IO_STRING 8u
#define SITE_IO_REP    16u
#define SITE_IO_NUMBER 32u	/* else DX is the port */

/* An instruction that events are about, small enough to travel in a pointer. */
struct site {
	uint8_t kind;		/* enum scry_event_kind */
	uint8_t len;		/* bytes of the instruction */
	uint8_t form;		/* enum site_form */
	uint8_t number;		/* of the control or debug register, enum scry_table_reg, port */
	uint8_t reg;		/* general register it comes from or goes to */
	uint8_t access;		/* SCRY_READ or SCRY_WRITE, of a port or a table */
	uint8_t io;		/* SITE_IO_* */
	uint8_t lock;		/* 1 = with a LOCK prefix: see site_unlock() */
};

/* Is the instruction of exactly these bytes one that events are about? */
bool site_decode(const uint8_t *bytes, size_t len, struct site *site);

#endif
