/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_DECODE_H
#define AGENT_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <scry/event.h>

enum site_form {
	SITE_PLAIN,		/* the kind says it all; MOV to CR */
	SITE_LMSW_REGISTER,
	SITE_LMSW_MEMORY,
	SITE_CLTS,
};

/* An instruction that events are about, small enough to travel in a pointer. */
struct site {
	uint8_t kind;		/* enum scry_event_kind */
	uint8_t len;		/* bytes of the instruction */
	uint8_t form;		/* enum site_form */
	uint8_t cr;		/* control register written */
	uint8_t reg;		/* general register it comes from */
	uint8_t unused[3];
};

/* Is the instruction of exactly these bytes one that events are about? */
bool site_decode(const uint8_t *bytes, size_t len, struct site *site);

#endif
