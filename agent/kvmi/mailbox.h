/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVMI_MAILBOX_H
#define AGENT_KVMI_MAILBOX_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "protocol/kvmi.h"

/* A message of the tool to one vCPU, on its way to the vCPU's thread. */
struct kvmi_mail {
	struct kvmi_mail *next;
	struct kvmi_header header;
	/* How commands are answered, as it was set when this one came (v7: CONTROL_CMD_RESPONSE). */
	bool silent, tells_errors;
	uint8_t payload[];
};

/* The messages of one vCPU, in the order in which they came.  Knows nothing of QEMU. */
struct kvmi_mailbox {
	pthread_mutex_t lock;
	struct kvmi_mail *first, **last;
	_Atomic uint32_t word;		/* steps when there is something to look at */
	int bell;			/* eventfd, for a vCPU that sleeps; -1 */
	_Atomic bool sleeps;
	_Atomic bool waits;		/* its vCPU looks here, and need not be called */
	_Atomic bool has_work;		/* of the VMM's, to be done soon */
	_Atomic bool released;		/* the tool is gone */
};

/* Most messages under way to vCPUs: a kernel would be out of memory some time, too. */
#define KVMI_MAILS 16384u

void kvmi_mailbox_init(struct kvmi_mailbox *box);

/* Before its vCPU sleeps at it for the first time. */
void kvmi_mailbox_ready(struct kvmi_mailbox *box);

/* Any thread.  -1 if there are too many.  Then wake the vCPU, or call it. */
int kvmi_mailbox_put(struct kvmi_mailbox *box, const struct kvmi_header *header,
		     const void *payload, bool silent, bool tells_errors);

/* The first message, which is the caller's to free(); NULL if there is none. */
struct kvmi_mail *kvmi_mailbox_take(struct kvmi_mailbox *box);

bool kvmi_mailbox_is_empty(struct kvmi_mailbox *box);

/* Any thread: have the vCPU that waits look again. */
void kvmi_mailbox_wake(struct kvmi_mailbox *box);

/*
 * The vCPU's thread: sleep until it is woken, at most ms; seen is the word from
 * before the last look.  Or until something comes at fd, if that is not -1: true.
 */
bool kvmi_mailbox_sleep(struct kvmi_mailbox *box, uint32_t seen, int ms, int fd);

/* Throw away what is there. */
void kvmi_mailbox_clear(struct kvmi_mailbox *box);

#endif
