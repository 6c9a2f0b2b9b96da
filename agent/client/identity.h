/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_IDENTITY_H
#define AGENT_IDENTITY_H

#include <sys/un.h>

/* Who this agent is, by the options after -plugin. */
extern struct identity {
	char name[64];			/* the VM's */
	char hypervisor[96];
	struct sockaddr_un address;	/* of the socket */
} identity;

/* Take the options.  0, or refuse(). */
int identity_init(int argc, char **argv);

#endif
