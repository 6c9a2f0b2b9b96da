/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_PT_PACKET_H
#define AGENT_PT_PACKET_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/agent_protocol.h"

/*
 * Intel PT packets (Intel SDM volume 3, chapter 33.4) into a ring that another
 * process reads.  Knows nothing of QEMU, so that it can be tested alone.
 */
struct pt_out {
	struct scry_agent_ring *ring;
	uint8_t *data;		/* size bytes, mapped twice in a row */
	uint64_t size;		/* a power of two */
	uint64_t head;		/* bytes written */
	uint64_t limit;		/* up to which there is room, as last seen */
	uint64_t psb_at;	/* when the next PSB is due */
	uint64_t last_ip;
	uint64_t tnt;		/* conditional branches not yet written, oldest first */
	unsigned tnt_count;
	bool lost;		/* the ring was full: nothing is written any more */
	bool attention;		/* lost, or a PSB is due */
};

/* MODE.Exec: how the processor decodes instructions. */
#define PT_MODE_16 0u
#define PT_MODE_64 1u
#define PT_MODE_32 2u

#define PT_TNT_MOST 47

void pt_out_init(struct pt_out *out, struct scry_agent_ring *ring, void *data, uint64_t size);

void pt_tnt_flush(struct pt_out *out);

static inline void pt_tnt(struct pt_out *out, bool taken)
{
	out->tnt = out->tnt << 1 | taken;
	if (++out->tnt_count == PT_TNT_MOST)
		pt_tnt_flush(out);
}

void pt_tip(struct pt_out *out, uint64_t ip);
void pt_tip_pge(struct pt_out *out, uint64_t ip);
void pt_tip_pgd(struct pt_out *out);
void pt_fup(struct pt_out *out, uint64_t ip);
void pt_pip(struct pt_out *out, uint64_t cr3);
void pt_mode(struct pt_out *out, unsigned mode);

/* PSB, what a decoder has to know that begins here, PSBEND; ip: NULL = not tracing now. */
void pt_psb(struct pt_out *out, uint64_t cr3, unsigned mode, const uint64_t *ip);

/* After the ring was full, and OVF the last packet: is there room to go on? */
bool pt_resume(struct pt_out *out);

#endif
