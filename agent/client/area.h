/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_AREA_H
#define AGENT_AREA_H

#include "protocol/agent_protocol.h"

/*
 * The memory shared with the client: a new one for each, as processes of a
 * former one may still have theirs.
 */
struct area {
	struct scry_agent_shared *shared;
	uint64_t size;
	int fd;
	int bell, client_bell;	/* the two ends of the bell */
};

#define AREA_NONE ((struct area){ .fd = -1, .bell = -1, .client_bell = -1 })

/* Service thread, whose life it shows.  0 or -1. */
int area_make(struct area *area, unsigned vcpus);
/* Make its life one that no map is of: before its client is hung up on. */
void area_retire(struct area *area);
void area_drop(struct area *area);
/* Once the client has it. */
void area_close_client_bell(struct area *area);

struct scry_agent_slot *area_slot(const struct area *area, unsigned vcpu);

/* With QEMU's big lock held: the memory map has changed. */
void area_step_generation(struct area *area);

/* What scry_agent_shared.life now is, as one word. */
uint64_t area_life(void);

#endif
