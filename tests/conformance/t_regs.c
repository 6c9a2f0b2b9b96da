/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Registers: read, written with other values, and seen by the guest itself,
 * which waits in HOLD and then says what it finds in them.
 */
#include <string.h>

#include "conformance.h"

typedef unsigned long long ull;

#define BIT SCRY_REG_BIT

static uint64_t pattern(unsigned i, unsigned salt)
{
	return 0x0123456789abcdef * (i + 1) ^ (uint64_t)salt << 56;
}

/* One vCPU into HOLD, with the general registers known. */
static int hold(struct ctx *c, unsigned vcpu)
{
	uint64_t gpr[16], block = PROBE_VCPU_GPA + (uint64_t)vcpu * PROBE_VCPU_SIZE;
	const struct probe_op op = OP(HOLD);

	for (unsigned i = 0; i < 16; i++)
		gpr[i] = pattern(i, vcpu);
	OK(c, scry_write_phys(c->vm, block + offsetof(struct probe_vcpu, regs_in), gpr, sizeof(gpr)));
	DO(guest_start(c, vcpu, &op, 1, 1));
	DO(guest_wait_waits(c, vcpu));
	return guest_moves(c, vcpu);	/* it is in the loop, with all of them loaded */
}

/* Let it go on, and take what it saw. */
static int release(struct ctx *c, unsigned vcpu, struct probe_regs *seen)
{
	struct probe_vcpu block;

	DO(guest_release(c, vcpu));
	DO(guest_wait(c, vcpu));
	DO(guest_block(c, vcpu, &block));
	*seen = block.regs_out;
	return 0;
}

/* Write, read back, and see that nothing outside the mask has changed. */
static int set(struct ctx *c, unsigned vcpu, const struct scry_regs *regs, uint64_t mask)
{
	struct scry_regs before, after;

	DO(guest_halt(c, vcpu));
	OK(c, scry_regs_get(c->vm, vcpu, &before));
	OK(c, scry_regs_set(c->vm, vcpu, regs, mask));
	OK(c, scry_regs_get(c->vm, vcpu, &after));
	for (unsigned reg = 0; reg < SCRY_REG_COUNT; reg++) {
		const struct scry_regs *expect = mask & BIT(reg) ? regs : &before;

		CHECK(c, scry_reg_value(&after, reg) == scry_reg_value(expect, reg),
		      "%s reads %#llx after the write, not %#llx", scry_reg_name(reg),
		      (ull)scry_reg_value(&after, reg), (ull)scry_reg_value(expect, reg));
	}
	for (unsigned i = 0; i < 8; i++)
		if (mask & BIT(SCRY_REG_ES + i))
			CHECK(c, !memcmp(&after.seg[i], &regs->seg[i], sizeof(regs->seg[i])),
			      "%s: base, limit or attributes are not what was written",
			      scry_reg_name(SCRY_REG_ES + i));
	DO(guest_unhalt(c, vcpu));
	return 0;
}

static int general(struct ctx *c)
{
	struct probe_regs seen;
	struct scry_regs regs;

	for (unsigned vcpu = 0; vcpu < c->vcpus; vcpu++) {
		DO(hold(c, vcpu));
		OK(c, scry_regs_get(c->vm, vcpu, &regs));
		for (unsigned i = 0; i < 16; i++) {
			CHECK(c, regs.gpr[i] == pattern(i, vcpu), "vCPU %u: %s reads %#llx", vcpu,
			      scry_reg_name(i), (ull)regs.gpr[i]);
			regs.gpr[i] = pattern(i, ~vcpu);
		}
		CHECK(c, regs.rip - c->probe.text < c->probe.text_size, "rip reads %#llx", (ull)regs.rip);
		DO(set(c, vcpu, &regs, SCRY_REGS_GPR));
		DO(release(c, vcpu, &seen));
		for (unsigned i = 0; i < 16; i++)
			CHECK(c, seen.gpr[i] == pattern(i, ~vcpu), "vCPU %u: the guest sees %#llx in %s",
			      vcpu, (ull)seen.gpr[i], scry_reg_name(i));
		CHECK(c, seen.path == 1, "the guest left its way");
	}
	return 0;
}

static int rip_rflags(struct ctx *c)
{
	const uint64_t flags = 0x40000 | 0x200000;	/* AC, ID */
	struct probe_regs seen;
	struct scry_regs regs;

	DO(hold(c, 0));
	OK(c, scry_regs_get(c->vm, 0, &regs));
	CHECK(c, (regs.rflags & ~0x8d5ull) == 2, "rflags reads %#llx", (ull)regs.rflags);
	regs.rip = c->probe.hold_alt;
	regs.rflags |= flags;
	OK(c, scry_regs_set(c->vm, 0, &regs, BIT(SCRY_REG_RIP) | BIT(SCRY_REG_RFLAGS)));
	DO(release(c, 0, &seen));
	CHECK(c, seen.path == 2, "the guest did not go on at the rip that was written");
	CHECK(c, (seen.rflags & flags) == flags, "the guest sees rflags %#llx", (ull)seen.rflags);
	return 0;
}

/* What the guest found in the registers that are one number. */
static uint64_t seen_value(const struct probe_regs *seen, enum scry_reg reg)
{
	switch (reg) {
	case SCRY_REG_CR0: return seen->cr0;
	case SCRY_REG_CR2: return seen->cr2;
	case SCRY_REG_CR3: return seen->cr3;
	case SCRY_REG_CR4: return seen->cr4;
	case SCRY_REG_CR8: return seen->cr8;
	case SCRY_REG_XCR0: return seen->xcr0;
	case SCRY_REG_EFER: return seen->efer;
	case SCRY_REG_GDTR: return seen->gdtr_base;
	case SCRY_REG_IDTR: return seen->idtr_base;
	case SCRY_REG_DR6: return seen->dr[6];
	case SCRY_REG_DR7: return seen->dr[7];
	case SCRY_REG_DR0: case SCRY_REG_DR1: case SCRY_REG_DR2: case SCRY_REG_DR3:
		return seen->dr[reg - SCRY_REG_DR0];
	default: return seen->seg[reg - SCRY_REG_ES];
	}
}

/* Read what the guest has, write another value, and let the guest say. */
static int one_value(struct ctx *c, enum scry_reg reg, uint64_t was, uint64_t value)
{
	struct probe_regs seen;
	struct scry_regs regs;

	DO(hold(c, 0));
	OK(c, scry_regs_get(c->vm, 0, &regs));
	CHECK(c, scry_reg_value(&regs, reg) == was, "%s reads %#llx, not %#llx", scry_reg_name(reg),
	      (ull)scry_reg_value(&regs, reg), (ull)was);
	*scry_reg_ref(&regs, reg) = value;
	DO(set(c, 0, &regs, BIT(reg)));
	DO(release(c, 0, &seen));
	CHECK(c, seen_value(&seen, reg) == value, "%s: %#llx was written, the guest sees %#llx",
	      scry_reg_name(reg), (ull)value, (ull)seen_value(&seen, reg));
	return guest_do(c, 0, OP(RESET), NULL);
}

static int control(struct ctx *c)
{
	const struct probe_header *p = &c->probe;

	DO(one_value(c, SCRY_REG_CR0, p->cr0, p->cr0 ^ 0x40008));	/* AM, TS */
	DO(one_value(c, SCRY_REG_CR2, 0, 0xffff8123456789ab));
	DO(one_value(c, SCRY_REG_CR3, p->cr3[0], p->cr3[1]));
	DO(one_value(c, SCRY_REG_CR4, p->cr4, p->cr4 ^ 0x8c));		/* TSD, DE, PGE */
	DO(one_value(c, SCRY_REG_CR8, 0, 9));
	DO(one_value(c, SCRY_REG_EFER, p->efer, p->efer | 1));		/* SCE */
	if (p->features & PROBE_HAS_AVX)
		DO(one_value(c, SCRY_REG_XCR0, p->xcr0, 3));
	return 0;
}

static int debug(struct ctx *c)
{
	DO(one_value(c, SCRY_REG_DR0, 0, 0xffff800012345678));
	DO(one_value(c, SCRY_REG_DR1, 0, 0x7fff12345678));
	DO(one_value(c, SCRY_REG_DR2, 0, 0xdeadbeef));
	DO(one_value(c, SCRY_REG_DR3, 0, 0x1000));
	DO(one_value(c, SCRY_REG_DR6, 0xffff0ff0, 0xffff4ff3));
	return one_value(c, SCRY_REG_DR7, 0x400, 0xd0755);
}

static int tables(struct ctx *c)
{
	struct probe_vcpu block;

	DO(guest_block(c, 0, &block));
	DO(one_value(c, SCRY_REG_GDTR, block.gdt, block.gdt + PROBE_ALIAS));
	return one_value(c, SCRY_REG_IDTR, block.idt, block.idt + PROBE_ALIAS);
}

/* GDTR and IDTR have limits too. */
static int table_limits(struct ctx *c)
{
	struct probe_regs seen;
	struct scry_regs regs;

	DO(hold(c, 0));
	OK(c, scry_regs_get(c->vm, 0, &regs));
	CHECK(c, regs.gdtr.limit == PROBE_GDT_SIZE - 1 && regs.idtr.limit == 4095,
	      "limits read %#x, %#x", regs.gdtr.limit, regs.idtr.limit);
	regs.gdtr.limit = 0x1234;
	regs.idtr.limit = 0xfff0;
	DO(set(c, 0, &regs, BIT(SCRY_REG_GDTR) | BIT(SCRY_REG_IDTR)));
	DO(release(c, 0, &seen));
	CHECK(c, seen.gdtr_limit == 0x1234 && seen.idtr_limit == 0xfff0,
	      "the guest sees limits %#x, %#x", seen.gdtr_limit, seen.idtr_limit);
	return 0;
}

/* What the probe's own descriptors say that the hidden parts are. */
static int segments_read(struct ctx *c)
{
	struct scry_regs regs;
	struct probe_vcpu block;

	for (unsigned i = 0; i < c->vcpus; i++) {
		DO(guest_block(c, i, &block));
		OK(c, scry_regs_get(c->vm, i, &regs));
		const struct scry_seg *s = regs.seg;

		CHECK(c, s[1].selector == PROBE_SEL_CODE && (s[1].attr & 0xf09b) == 0xa09b,
		      "cs reads %#x, attributes %#x", s[1].selector, s[1].attr);
		CHECK(c, s[2].selector == PROBE_SEL_DATA && (s[2].attr & 0xf09f) == 0xc093 &&
		      s[2].limit == ~0u && s[2].base == 0,
		      "ss reads %#x, attributes %#x, limit %#x", s[2].selector, s[2].attr, s[2].limit);
		CHECK(c, s[3].selector == PROBE_SEL_DATA && s[0].selector == PROBE_SEL_DATA,
		      "ds, es read %#x, %#x", s[3].selector, s[0].selector);
		CHECK(c, s[4].selector == 0 && s[4].base == 0, "fs reads %#x, base %#llx",
		      s[4].selector, (ull)s[4].base);
		CHECK(c, s[5].selector == 0 && s[5].base == block.self, "gs reads %#x, base %#llx",
		      s[5].selector, (ull)s[5].base);
		CHECK(c, s[6].selector == 0, "ldtr reads %#x", s[6].selector);
		CHECK(c, s[7].selector == PROBE_SEL_TSS && s[7].base == block.tss &&
		      s[7].limit == 103 && (s[7].attr & 0x9d) == 0x89,	/* TCG: never busy */
		      "tr reads %#x, base %#llx, limit %#x, attributes %#x", s[7].selector,
		      (ull)s[7].base, s[7].limit, s[7].attr);
		CHECK(c, regs.gdtr.base == block.gdt && regs.idtr.base == block.idt,
		      "gdtr, idtr read %#llx, %#llx", (ull)regs.gdtr.base, (ull)regs.idtr.base);
	}
	return 0;
}

static int segments_write(struct ctx *c)
{
	const uint64_t mask = (BIT(SCRY_REG_TR + 1) - 1) & ~(BIT(SCRY_REG_ES) - 1);
	struct probe_regs seen;
	struct probe_vcpu block;
	struct scry_regs regs;

	DO(guest_block(c, 0, &block));
	DO(hold(c, 0));
	OK(c, scry_regs_get(c->vm, 0, &regs));
	for (unsigned i = 0; i < 6; i++)
		regs.seg[i].selector = i == 1 ? PROBE_SEL_CODE2 : PROBE_SEL_DATA2;
	regs.seg[4].base = 0xffff800000123450;
	regs.seg[4].limit = 0xffff;
	regs.seg[4].attr = 0xf3;
	regs.seg[5].base = block.self + PROBE_ALIAS;
	regs.seg[6] = (struct scry_seg){ .base = block.ldt, .limit = 15, .attr = 0x82,
					 .selector = PROBE_SEL_LDT };
	regs.seg[7].selector = PROBE_SEL_TSS2;
	regs.seg[7].base = block.tss + PROBE_ALIAS;
	DO(set(c, 0, &regs, mask));
	DO(release(c, 0, &seen));
	for (unsigned i = 0; i < 8; i++)
		CHECK(c, seen.seg[i] == regs.seg[i].selector, "%s: %#x was written, the guest sees %#x",
		      scry_reg_name(SCRY_REG_ES + i), regs.seg[i].selector, seen.seg[i]);
	CHECK(c, seen.fs_base == regs.seg[4].base && seen.gs_base == regs.seg[5].base,
	      "the guest sees fs base %#llx, gs base %#llx", (ull)seen.fs_base, (ull)seen.gs_base);
	return 0;
}

/* A value that the processor would refuse, together with a good one: neither is written. */
static int refuse(struct ctx *c, enum scry_reg reg, uint64_t value)
{
	struct scry_regs before, regs, after;

	OK(c, scry_regs_get(c->vm, 0, &before));
	regs = before;
	*scry_reg_ref(&regs, reg) = value;
	regs.gpr[SCRY_REG_R12] = ~regs.gpr[SCRY_REG_R12];
	if (scry_regs_set(c->vm, 0, &regs, BIT(reg) | BIT(SCRY_REG_R12)) != SCRY_E_REFUSED)
		return fail(c, "%s was set to %#llx", scry_reg_name(reg), (ull)value);
	CHECK(c, *scry_errmsg(), "%s = %#llx is refused without a sentence", scry_reg_name(reg),
	      (ull)value);
	OK(c, scry_regs_get(c->vm, 0, &after));
	CHECK(c, !memcmp(&before, &after, sizeof(before)), "%s = %#llx is refused, but changed registers",
	      scry_reg_name(reg), (ull)value);
	return 0;
}

static int refused(struct ctx *c)
{
	const struct probe_header *p = &c->probe;

	DO(guest_halt(c, 0));
	DO(refuse(c, SCRY_REG_RIP, 0x800000000000));
	DO(refuse(c, SCRY_REG_CR0, p->cr0 & ~1ull));		/* PG without PE */
	DO(refuse(c, SCRY_REG_CR0, p->cr0 | 1ull << 40));
	DO(refuse(c, SCRY_REG_CR0, (p->cr0 & ~0x40000000ull) | 0x20000000)); /* NW without CD */
	DO(refuse(c, SCRY_REG_CR3, p->cr3[0] | 1ull << 62));
	DO(refuse(c, SCRY_REG_CR4, p->cr4 | 1ull << 31));
	DO(refuse(c, SCRY_REG_CR4, p->cr4 & ~0x20ull));		/* PAE, in long mode */
	DO(refuse(c, SCRY_REG_CR4, p->cr4 ^ 0x1000));		/* LA57, in long mode */
	DO(refuse(c, SCRY_REG_CR8, 16));
	DO(refuse(c, SCRY_REG_EFER, p->efer | 1ull << 40));
	DO(refuse(c, SCRY_REG_EFER, p->efer ^ 0x100));		/* LME, while paging is on */
	DO(refuse(c, SCRY_REG_DR6, 1ull << 32));
	DO(refuse(c, SCRY_REG_DR7, 1ull << 32 | 0x400));
	if (p->features & PROBE_HAS_AVX) {
		DO(refuse(c, SCRY_REG_XCR0, 0));		/* x87 must be on */
		DO(refuse(c, SCRY_REG_XCR0, 5));		/* AVX without SSE */
		DO(refuse(c, SCRY_REG_XCR0, 1ull << 62));
	}
	DO(guest_unhalt(c, 0));
	return guest_moves(c, 0);
}

/* Reading and writing a vCPU that runs does it no harm. */
static int running(struct ctx *c)
{
	const struct probe_op work = OP(CHECKSUM, .value = 2000, .flags = PROBE_CHECK,
					.expect = probe_checksum(2000));
	struct probe_vcpu block;
	struct scry_regs regs;

	DO(guest_start_all(c, &work, 1, FOREVER));
	for (int i = 0; i < 500; i++) {
		unsigned vcpu = i % c->vcpus;

		OK(c, scry_regs_get(c->vm, vcpu, &regs));
		CHECK(c, regs.rip - c->probe.text < c->probe.text_size, "rip reads %#llx", (ull)regs.rip);
		regs.cr2 = (uint64_t)i;
		OK(c, scry_regs_set(c->vm, vcpu, &regs, BIT(SCRY_REG_CR2)));
	}
	for (unsigned i = 0; i < c->vcpus; i++) {
		DO(guest_stop(c, i));
		DO(guest_block(c, i, &block));
		CHECK(c, block.op[0].count && !block.op[0].mismatches, "vCPU %u: %llu wrong sums", i,
		      (ull)block.op[0].mismatches);
	}
	return 0;
}

/* With DR7.GD the guest's own accesses raise #DB; ours do not. */
static int debug_guarded(struct ctx *c)
{
	struct scry_regs regs;

	DO(guest_halt(c, 0));
	OK(c, scry_regs_get(c->vm, 0, &regs));
	regs.dr7 = 0x2400;
	regs.dr[0] = 0x123000;
	OK(c, scry_regs_set(c->vm, 0, &regs, BIT(SCRY_REG_DR7)));
	OK(c, scry_regs_set(c->vm, 0, &regs, BIT(SCRY_REG_DR0)));
	OK(c, scry_regs_get(c->vm, 0, &regs));
	CHECK(c, regs.dr7 == 0x2400 && regs.dr[0] == 0x123000, "dr7 %#llx, dr0 %#llx",
	      (ull)regs.dr7, (ull)regs.dr[0]);
	regs.dr7 = 0x400;
	regs.dr[0] = 0;
	OK(c, scry_regs_set(c->vm, 0, &regs, BIT(SCRY_REG_DR7) | BIT(SCRY_REG_DR0)));
	DO(guest_unhalt(c, 0));
	return guest_moves(c, 0);
}

#define RW { SCRY_CAP_REGS_READ, SCRY_CAP_REGS_WRITE, SCRY_CAP_PAUSE }

const struct test tests_regs[] = {
	{ "regs-general", general, RW },
	{ "regs-rip-rflags", rip_rflags, RW },
	{ "regs-control", control, RW },
	{ "regs-debug", debug, RW },
	{ "regs-debug-guarded", debug_guarded, RW },
	{ "regs-tables", tables, RW },
	{ "regs-table-limits", table_limits, RW },
	{ "regs-segments-read", segments_read, { SCRY_CAP_REGS_READ } },
	{ "regs-segments-write", segments_write, RW },
	{ "regs-refused", refused, { SCRY_CAP_REGS_READ, WHOLE(REGS_WRITE), SCRY_CAP_PAUSE } },
	{ "regs-running", running, RW },
	{ 0 }
};
