/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_CLIENT_H
#define AGENT_CLIENT_H

#include <stdbool.h>
#include <sys/types.h>

#include "protocol/agent_protocol.h"

/* The one client that is attached.  All by the service thread. */

/* With QEMU's big lock free: begin to watch QEMU. */
void client_init(void);

/* Answer HELLO on a new connection: welcome who only asks. */
int client_welcome(int fd);

/* The client that is attached, a process, -1 = one of another namespace; 0 = none. */
pid_t client_pid(void);

/* Make fd's peer the client.  0, or SCRY_E_... with a sentence in text. */
int client_attach(int fd, uint32_t reply_timeout_ms, char *text, size_t size);

/*
 * The thread of that vCPU, which has waited too long for the client: let the
 * service thread hang up.
 */
void client_give_up(unsigned vcpu);

/* It has hung up: take everything back that it asked for. */
void client_detach(void);

/*
 * Whatever kind of client it was: no vCPU waits for it, and what it subscribed to,
 * trapped and made is gone.
 */
void client_take_back(void);

/* Stop or start the guest's clocks for it. */
void client_clocks(bool stop);

/* Answer one message of the client.  0, or -1 to hang up. */
int client_request(int fd, const void *message, size_t len);

#endif
