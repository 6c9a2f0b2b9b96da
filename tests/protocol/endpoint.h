/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_TEST_ENDPOINT_H
#define SCRY_TEST_ENDPOINT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "protocol/agent_protocol.h"

/*
 * An agent's end of the socket without a QEMU behind it: it answers every
 * request as an agent should, unless a test spoils the answer.
 */
#define ENDPOINT_RAM    UINT64_C(0x100000)	/* bytes, at gpa 0 */
#define ENDPOINT_SHARED UINT64_C(0x80000)	/* the first so many are in a file */
#define ENDPOINT_FAR    UINT64_C(0x100000000)	/* a page that only messages reach */
#define ENDPOINT_FDS    64

enum fate { SEND, KEEP_SILENT, HANG_UP };

/* A reply on its way out. */
struct packet {
	enum fate fate;
	size_t len;
	unsigned fd_count;
	int fds[ENDPOINT_FDS];		/* the endpoint's: not closed after sending */
	union {
		struct scry_agent_header header;
		struct scry_agent_failure failure;
		struct scry_agent_welcome welcome;
		struct scry_agent_caps caps;
		struct scry_agent_map map;
		struct scry_agent_value value;
		struct scry_agent_memory memory;
		unsigned char bytes[SCRY_AGENT_CHUNK + 8192];
	};
};

struct endpoint {
	/* For a test to set before endpoint_start(). */
	unsigned vcpus;
	bool starts_late;		/* bound, its folder locked, and not listening yet */
	void (*spoil)(struct endpoint *e, struct packet *reply);
	void (*stop)(struct endpoint *e, unsigned vcpu, bool stop);
	void (*hung_up)(struct endpoint *e);
	void *opaque;

	char path[108];			/* of the socket */
	char uri[120];
	struct scry_agent_shared *shared;	/* of the client at hand */
	size_t shared_size;
	int shared_fd, ram_fd;
	int bell[2];			/* its own end, the client's */
	unsigned char *ram;
	unsigned requests;		/* seen so far */

	/* endpoint.c's own. */
	char dir[64];
	int listener, folder;
	_Atomic int client;
	pthread_t thread;
};

void endpoint_start(struct endpoint *e);
void endpoint_end(struct endpoint *e);

static inline struct scry_agent_slot *endpoint_slot(struct endpoint *e, unsigned vcpu)
{
	return (struct scry_agent_slot *)((char *)e->shared + SCRY_AGENT_SHARED_HEAD +
					  vcpu * SCRY_AGENT_SLOT_SIZE);
}

/* A memfd of that size, for which F_ADD_SEALS may be used. */
int endpoint_memfd(size_t size);

/* How many descriptors this process has open. */
unsigned endpoint_open_files(void);

/* Say what went wrong and abort: for what no test can go on without. */
void endpoint_must(bool good, const char *what);

#endif
