/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_QEMU_CONNECTION_H
#define SCRY_QEMU_CONNECTION_H

#include <stddef.h>
#include <sys/types.h>

#include "../../../protocol/agent_protocol.h"

#define QEMU_MAX_FDS ((int)SCRY_AGENT_FILES)

/* What one request takes and gives. */
struct qemu_call {
	const void *request;
	size_t request_len;
	const void *payload;		/* sent behind the request; may be NULL */
	size_t payload_len;
	void *reply;
	size_t reply_min, reply_max;	/* bytes of a reply that is no failure */
	int fds[QEMU_MAX_FDS];		/* received; the caller closes them */
	int fd_count;
};

/* Connect to an agent's socket, with that time-out for all that follows: fd or SCRY_E_*. */
int qemu_connect(const char *path, int timeout_ms);

/*
 * Note a failure that an agent reported, with the text it gave; SCRY_E_PROTOCOL
 * if the status is none.
 */
int qemu_agent_failed(int status, char *text, size_t size);

/*
 * Send a request and take its reply: the reply's length, or a failure noted
 * (SCRY_E_GONE for a hang-up, SCRY_E_TIMEOUT, SCRY_E_PROTOCOL, or the agent's
 * own).  No fds are left in call->fds on failure.
 */
ssize_t qemu_call(int fd, struct qemu_call *call);

void qemu_close_fds(struct qemu_call *call);

/* Introduce ourselves: fills *welcome, checked; the fds are in *call. */
int qemu_hello(int fd, enum scry_agent_purpose purpose, uint32_t reply_timeout_ms,
	       struct scry_agent_welcome *welcome, struct qemu_call *call);

/* qemu_call() on an open VM's socket, under its lock. */
struct qemu_vm;
ssize_t qemu_request(struct qemu_vm *q, struct qemu_call *call);

/* The same where the reply is of one length, and has no descriptors: 0 or a failure. */
int qemu_exchange(struct qemu_vm *q, struct qemu_call *call);

/* The same where the reply is one number (in *value if not NULL). */
int qemu_exchange_value(struct qemu_vm *q, const void *request, size_t len, uint64_t *value);

/* A request that is one number, and whose reply is one number (in *value if not NULL). */
int qemu_request_value(struct qemu_vm *q, enum scry_agent_request type, uint64_t argument,
		       uint64_t *value);

#endif
