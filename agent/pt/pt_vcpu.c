/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/qemu/cpu.h"
#include "pt_vcpu.h"

void pt_vcpu_init(struct pt_vcpu *v, const struct qemu_cpu *cpu, const struct pt_filter *filter)
{
	v->cpu = cpu;
	v->filter = filter;
	v->block = NULL;
	v->mode = UINT8_MAX;
	v->tracing = v->left = v->interrupted = false;
	v->special = true;
}

/* A jump that no instruction makes. */
static void jump(struct pt_vcpu *v, uint64_t from, uint64_t to)
{
	pt_fup(&v->out, from);
	pt_tip(&v->out, to);
}

/* An address of the block's; outside 64-bit mode addresses wrap at 4 GiB. */
static inline uint64_t in_block(const struct pt_vcpu *v, uint64_t offset)
{
	return v->block->mode == PT_MODE_64 ? v->start + offset : (uint32_t)(v->start + offset);
}

static bool has(const struct pt_vcpu *v, uint64_t ip)
{
	return ip - v->start < v->block->len;
}

/* Left behind its last instruction, for ip?  Then say so, if there is anything to say. */
static bool left_at_end(struct pt_vcpu *v, uint64_t ip)
{
	const struct pt_block *b = v->block;
	bool taken = ip == in_block(v, b->target);

	switch (b->end) {
	case PT_RUNS_ON:
		return ip == in_block(v, b->len);
	case PT_CONDITIONAL:
		if (!taken && ip != in_block(v, b->len))
			return false;
		pt_tnt(&v->out, taken);
		return true;
	case PT_DIRECT:
		return taken;
	default:
		pt_tip(&v->out, ip);
		return true;
	}
}

/* Where it would have gone, had nobody changed its rip. */
static uint64_t expected(struct pt_vcpu *v)
{
	const struct pt_block *b = v->block;

	if (b->end == PT_CONDITIONAL)
		pt_tnt(&v->out, false);
	return in_block(v, b->end == PT_DIRECT ? b->target : b->len);
}

/*
 * The vCPU has come from its block to ip; inside it if it was left before its end
 * (QEMU does that, too: to try an instruction again by other means).
 */
static void come_to(struct pt_vcpu *v, uint64_t ip, bool inside)
{
	if (inside && has(v, ip))
		return;
	if (left_at_end(v, ip) || has(v, ip))
		return;
	jump(v, expected(v), ip);
}

static bool is_traced(const struct pt_vcpu *v, const struct pt_block *block, uint64_t start,
		      uint64_t cr3)
{
	const struct pt_filter *f = v->filter;

	return block->traced &&
	       (!f->use_cr3 || !((cr3 ^ f->cr3) & UINT64_C(0x7ffffffffffff000))) &&
	       (!f->use_range || (start <= f->last && start + block->len > f->first));
}

static void stop(struct pt_vcpu *v, uint64_t ip)
{
	pt_fup(&v->out, ip);
	pt_tip_pgd(&v->out);
	v->tracing = false;
}

/* MODE and PIP belong to the TIP behind them. */
static void tell_mode(struct pt_vcpu *v, unsigned mode)
{
	if (v->mode == mode)
		return;
	v->mode = (uint8_t)mode;
	pt_mode(&v->out, mode);
}

static void tell_cr3(struct pt_vcpu *v, uint64_t cr3)
{
	if (v->cr3 == cr3)
		return;
	v->cr3 = cr3;
	pt_pip(&v->out, cr3);
}

/* From the last block, or from where an interrupt came, to this one at `start`. */
static void follow(struct pt_vcpu *v, const struct pt_block *block, uint64_t start)
{
	/* QEMU tries an instruction before the block's last again, alone. */
	bool again = v->block && block->insns == 1 && has(v, start) &&
		     start - v->start + block->len < v->block->len;

	if (v->interrupted) {
		pt_fup(&v->out, v->from);
		tell_mode(v, block->mode);
		pt_tip(&v->out, start);
	} else if (v->block) {
		if (v->block->end == PT_FAR)
			tell_mode(v, block->mode);
		come_to(v, start, v->left || again);
	}
}

static void enable(struct pt_vcpu *v, const struct pt_block *block, uint64_t start, uint64_t cr3)
{
	if (v->cr3 != cr3 || v->mode != block->mode || v->out.attention) {
		v->cr3 = cr3;
		v->mode = block->mode;
		pt_psb(&v->out, cr3, block->mode, NULL);
	}
	pt_tip_pge(&v->out, start);
	v->tracing = true;
}

/* Out of the filter: where the vCPU came to is told all the same. */
static void leave(struct pt_vcpu *v, uint64_t start)
{
	uint64_t at = v->interrupted ? v->from : start;

	if (!v->tracing)
		return;
	if (!v->interrupted && v->block)
		come_to(v, at, v->left);
	stop(v, at);
}

static void trace(struct pt_vcpu *v, const struct pt_block *block, uint64_t start, uint64_t cr3)
{
	if (!v->tracing) {
		enable(v, block, start, cr3);
		return;
	}
	follow(v, block, start);
	tell_cr3(v, cr3);
	if (v->out.attention) {
		v->mode = block->mode;
		pt_psb(&v->out, cr3, block->mode, &start);
	}
}

/* Anything but one block after the other. */
static void begin_special(struct pt_vcpu *v, struct pt_block *block, uint64_t start, uint64_t cr3)
{
	bool traced;

	if (!atomic_load_explicit(&block->known, memory_order_acquire))
		pt_block_know(block, v->cpu, v->filter);
	/* Where packets were lost, tracing ended, and begins anew once there is room. */
	if (v->out.lost)
		v->tracing = false;
	traced = is_traced(v, block, start, cr3) && (!v->out.lost || pt_resume(&v->out));
	if (traced)
		trace(v, block, start, cr3);
	else
		leave(v, start);
	v->left = v->interrupted = false;
	v->special = v->out.lost || !traced || v->filter->use_range;
	v->block = traced ? block : NULL;
	v->start = start;
}

void pt_vcpu_begin(struct pt_vcpu *v, struct pt_block *block)
{
	uint64_t cr3 = cpu_get64(v->cpu, cpu_layout.cr3);
	uint64_t start = code_address(v->cpu);	/* rip is up to date where a block begins */

	if (v->special || v->out.attention || v->cr3 != cr3 ||
	    !atomic_load_explicit(&block->known, memory_order_acquire) || !block->traced ||
	    v->block->end == PT_FAR || (v->block != block && has(v, start)) ||
	    !left_at_end(v, start)) {
		begin_special(v, block, start, cr3);
	} else {
		v->block = block;
		v->start = start;
	}
}

void pt_vcpu_interrupt(struct pt_vcpu *v, uint64_t ip, bool exception)
{
	/* A second one on the way to the first's handler comes from the same place. */
	if (!v->block || v->interrupted)
		return;
	come_to(v, ip, exception || v->left);
	v->interrupted = v->special = true;
	v->from = ip;
}

void pt_vcpu_forget(struct pt_vcpu *v)
{
	if (!v->block || v->block == &v->kept)
		return;
	v->kept = *v->block;
	v->block = &v->kept;
}

void pt_vcpu_end(struct pt_vcpu *v, uint64_t ip)
{
	if (!v->tracing || v->out.lost)
		return;
	if (v->interrupted)
		ip = v->from;
	else if (v->block)
		come_to(v, ip, v->left);
	stop(v, ip);
	v->block = NULL;
}
