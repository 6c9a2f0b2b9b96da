/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "pt_packet.h"

#define LONGEST   64u			/* bytes that are written at a time, at most */
#define RESERVE   8u			/* bytes that are kept free, for OVF */
#define PSB_EVERY 16384u

/* IP packets: opcodes, and how many bytes of the IP follow. */
#define OP_TIP 0x0du
#define OP_PGE 0x11u
#define OP_PGD 0x01u
#define OP_FUP 0x1du
enum ip_bytes { IP_NONE, IP_UPDATE_16, IP_UPDATE_32, IP_SIGNED_48, IP_UPDATE_48, IP_FULL = 6 };

void pt_out_init(struct pt_out *out, struct scry_agent_ring *ring, void *data, uint64_t size)
{
	*out = (struct pt_out){ .ring = ring, .data = data, .size = size, .limit = size };
}

static void put(struct pt_out *out, const void *bytes, unsigned len)
{
	memcpy(out->data + (out->head & (out->size - 1)), bytes, len);
	out->head += len;
	atomic_store_explicit(&out->ring->head, out->head, memory_order_release);
	if (out->head >= out->psb_at)
		out->attention = true;
}

/* Is there room?  tail is the client's to write, and may be anything. */
static bool look(struct pt_out *out, uint64_t wanted)
{
	uint64_t tail = atomic_load_explicit(&out->ring->tail, memory_order_acquire);
	uint64_t used = out->head - tail;

	if (used > out->size || out->size - used < wanted)
		return false;
	out->limit = tail + out->size;
	return true;
}

static bool reserve(struct pt_out *out)
{
	static const uint8_t ovf[2] = { 0x02, 0xf3 };

	if (out->lost)
		return false;
	if (out->limit - out->head >= LONGEST + RESERVE || look(out, LONGEST + RESERVE))
		return true;
	/* Unless the client makes fun of us there are RESERVE bytes left. */
	if (look(out, sizeof(ovf)))
		put(out, ovf, sizeof(ovf));
	out->lost = out->attention = true;
	out->tnt_count = 0;
	return false;
}

/* Below the highest bit that is set the oldest branch comes first. */
static void put_tnt(struct pt_out *out)
{
	uint64_t bits = UINT64_C(1) << out->tnt_count |
			(out->tnt & ((UINT64_C(1) << out->tnt_count) - 1));
	uint8_t bytes[8] = { 0x02, 0xa3 };

	if (out->tnt_count <= 6) {
		bytes[0] = (uint8_t)(bits << 1);
		put(out, bytes, 1);
	} else {
		memcpy(bytes + 2, &bits, 6);
		put(out, bytes, 8);
	}
	out->tnt_count = 0;
}

void pt_tnt_flush(struct pt_out *out)
{
	if (out->tnt_count && reserve(out))
		put_tnt(out);
	out->tnt_count = 0;
}

/* Make room for a packet, behind the branches that came before it. */
static bool begin(struct pt_out *out)
{
	if (!reserve(out))
		return false;
	if (out->tnt_count)
		put_tnt(out);
	return reserve(out);
}

static unsigned compress(uint64_t ip, uint64_t last, unsigned *len)
{
	uint64_t differs = ip ^ last;

	if (!(differs >> 16)) {
		*len = 2;
		return IP_UPDATE_16;
	}
	if (!(differs >> 32)) {
		*len = 4;
		return IP_UPDATE_32;
	}
	if (!(differs >> 48)) {
		*len = 6;
		return IP_UPDATE_48;
	}
	if ((uint64_t)((int64_t)(ip << 16) >> 16) == ip) {
		*len = 6;
		return IP_SIGNED_48;
	}
	*len = 8;
	return IP_FULL;
}

static void put_ip(struct pt_out *out, unsigned op, uint64_t ip)
{
	unsigned len, how = compress(ip, out->last_ip, &len);
	uint8_t bytes[9];

	bytes[0] = (uint8_t)(how << 5 | op);
	memcpy(bytes + 1, &ip, 8);
	put(out, bytes, 1 + len);
	out->last_ip = ip;
}

void pt_tip(struct pt_out *out, uint64_t ip)
{
	if (begin(out))
		put_ip(out, OP_TIP, ip);
}

void pt_tip_pge(struct pt_out *out, uint64_t ip)
{
	if (begin(out))
		put_ip(out, OP_PGE, ip);
}

void pt_tip_pgd(struct pt_out *out)
{
	const uint8_t byte = IP_NONE << 5 | OP_PGD;

	if (begin(out))
		put(out, &byte, 1);
}

void pt_fup(struct pt_out *out, uint64_t ip)
{
	if (begin(out))
		put_ip(out, OP_FUP, ip);
}

static void put_pip(struct pt_out *out, uint64_t cr3)
{
	uint64_t payload = (cr3 & UINT64_C(0xfffffffffffe0)) >> 5 << 1;
	uint8_t bytes[8] = { 0x02, 0x43 };

	memcpy(bytes + 2, &payload, 6);
	put(out, bytes, 8);
}

void pt_pip(struct pt_out *out, uint64_t cr3)
{
	if (begin(out))
		put_pip(out, cr3);
}

static void put_mode(struct pt_out *out, unsigned mode)
{
	const uint8_t bytes[2] = { 0x99, (uint8_t)mode };

	put(out, bytes, 2);
}

void pt_mode(struct pt_out *out, unsigned mode)
{
	if (begin(out))
		put_mode(out, mode);
}

void pt_psb(struct pt_out *out, uint64_t cr3, unsigned mode, const uint64_t *ip)
{
	static const uint8_t psb[16] = { 2, 0x82, 2, 0x82, 2, 0x82, 2, 0x82,
					 2, 0x82, 2, 0x82, 2, 0x82, 2, 0x82 };
	static const uint8_t end[2] = { 0x02, 0x23 };

	if (!begin(out))
		return;
	out->psb_at = UINT64_MAX;
	put(out, psb, sizeof(psb));
	out->last_ip = 0;
	put_pip(out, cr3);
	put_mode(out, mode);
	if (ip)
		put_ip(out, OP_FUP, *ip);
	put(out, end, sizeof(end));
	out->psb_at = out->head + PSB_EVERY;
	out->attention = false;
}

bool pt_resume(struct pt_out *out)
{
	/* Not for a few packets, or every second one would be lost. */
	if (!look(out, out->size / 4))
		return false;
	out->lost = false;
	out->tnt_count = 0;
	out->last_ip = 0;
	return true;
}
