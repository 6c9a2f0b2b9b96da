/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVMI_OPTIONS_H
#define AGENT_KVMI_OPTIONS_H

#include <stdbool.h>
#include <sys/un.h>

#include "protocol/kvmi.h"

/* What the user wants of the KVMI server: the options kvmi... of the plugin. */
extern struct kvmi_options {
	struct sockaddr_un address;	/* of the tool's socket; no path = no server */
	enum kvmi_generation generation;
	const char *key;		/* the id of a `secret` object, or NULL */
	uint64_t reply_timeout_ns;	/* that a vCPU waits for the reply to an event; 0 = for ever */
	struct {
		bool listed;		/* only what is named is allowed */
		bool named[KVMI_COMMAND_COUNT];
	} command;
	struct {
		bool listed;
		bool named[KVMI_EVENT_COUNT];
	} event;
} kvmi_options;

/* Is this argument of the plugin one of them?  If so *status is 0 or refuse(). */
bool kvmi_option(const char *argument, int *status);

/* All arguments have been seen.  0, or refuse(). */
int kvmi_options_check(void);

#endif
