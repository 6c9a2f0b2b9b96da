/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVMI_LINK_H
#define AGENT_KVMI_LINK_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The connection to the tool: it listens, the agent connects, again and again, and
 * greets it as QEMU's object `introspection` does.  By the service thread, if not
 * said otherwise; nothing happens without the option kvmi=.
 */

/* While the plugin is installed.  0, or refuse(). */
int kvmi_link_init(uint64_t plugin_id);

/* With QEMU's big lock free: the machine has been made. */
void kvmi_link_start(void);

/* What the service is to poll, and for how many milliseconds at most (-1 = for ever). */
void kvmi_link_poll(struct pollfd *socket, struct pollfd *bell, int *timeout);

/* Behind each poll. */
void kvmi_link_serve(const struct pollfd *socket, const struct pollfd *bell);

/* Does a tool have the VM?  Its process in *pid, -1 = not known. */
bool kvmi_link_is_up(pid_t *pid);

/*
 * In the thread of a vCPU that waits for the tool: read what it has sent, which may be
 * what is waited for, without the way through the service.
 */
void kvmi_link_read(void);

/* What it may sleep at until there is something to read; -1: that is the service's at the moment. */
int kvmi_link_fd(void);

/* Any thread: have the service come by. */
void kvmi_link_ring(void);
/* The session is being ended for what the tool sent: the next need not come at once. */
void kvmi_link_is_wrong(void);

#endif
