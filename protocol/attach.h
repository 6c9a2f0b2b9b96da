/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_ATTACH_H
#define SCRY_ATTACH_H

#include <stdatomic.h>
#include <stdint.h>

/*
 * How "scry attach" calls the agent that it has put into a QEMU:
 *	const struct scry_attach_result *scry_agent_attach(const char *options);
 * with the agent's options, a line each.  It only begins; the result, in QEMU's memory and
 * there for good, tells when it is done.
 */
#define SCRY_ATTACH_ENTRY "scry_agent_attach"

enum scry_attach_state {
	SCRY_ATTACH_WORKS,
	SCRY_ATTACH_DONE,
	SCRY_ATTACH_REFUSED,
};

struct scry_attach_result {
	_Atomic uint32_t state;		/* enum scry_attach_state */
	char name[64];			/* the VM's */
	char socket[108];
	char text[512];			/* why it is refused */
};

#endif
