/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_SERVICE_H
#define AGENT_SERVICE_H

/*
 * The agent's own thread: it serves the socket as soon as QEMU has made the
 * machine with this many vCPUs.  0, or refuse().
 */
int service_start(unsigned vcpus);

/* Any thread: start it with this, for an agent that comes to a VM that runs.  0, or refuse(). */
int service_thread(void *(*fn)(void *));

/* The rest is for that thread.  Listen, or no more; the first returns 0, or refuse()s. */
int service_open(void);
void service_close(void);

/* Serve until somebody asks for the agent to leave: the connection for the answer. */
int service_run(void);
/* The answer: it cannot leave, or has left and does nothing more. */
void service_stays(int asker, const char *why);
void service_left(int asker);

#endif
