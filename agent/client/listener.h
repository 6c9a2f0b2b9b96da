/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_LISTENER_H
#define AGENT_LISTENER_H

/* Listen at identity.address, for this user only.  The socket, or refuse(). */
int listener_open(void);

/* Take the socket's name away, if it is still ours. */
void listener_unlink(void);

#endif
