/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_PT_VCPU_H
#define AGENT_PT_VCPU_H

#include "pt_block.h"
#include "pt_packet.h"

/*
 * One vCPU's path through its blocks, turned into packets: a block is known to
 * be executed when it begins, and how it was left when the next one does.
 */
struct pt_vcpu {
	_Alignas(64) struct pt_out out;
	const struct pt_filter *filter;
	const struct qemu_cpu *cpu;
	const struct pt_block *block;	/* the last that began, and not yet left; or NULL */
	uint64_t start;			/* where it is, linear */
	struct pt_block kept;		/* a copy of it, once translated code is gone */
	uint64_t cr3;			/* as told */
	uint8_t mode;			/* as told */
	bool tracing;			/* as told: between TIP.PGE and TIP.PGD */
	bool left;			/* the block, before its end */
	bool interrupted;		/* at `from`: no block of the handler has begun yet */
	bool special;			/* any of these, or a packet out of turn is due */
	uint64_t from;
};

void pt_vcpu_init(struct pt_vcpu *v, const struct qemu_cpu *cpu, const struct pt_filter *filter);

/* A block begins. */
void pt_vcpu_begin(struct pt_vcpu *v, struct pt_block *block);

/* At ip it delivers an exception, or an interrupt. */
void pt_vcpu_interrupt(struct pt_vcpu *v, uint64_t ip, bool exception);

/* Translated code goes. */
void pt_vcpu_forget(struct pt_vcpu *v);

/* The end: it stands at ip. */
void pt_vcpu_end(struct pt_vcpu *v, uint64_t ip);

#endif
