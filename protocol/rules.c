/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <scry/error.h>
#include <stdio.h>

#include "bits.h"
#include "rules.h"

#define WANTS(reg) (c->mask & SCRY_REG_BIT(SCRY_REG_##reg))
#define BIT(n)     (UINT64_C(1) << (n))
#define LOW32      UINT64_C(0xffffffff)

#define ATTR_P        BIT(7)
#define ATTR_L        BIT(13)
#define ATTR_G        BIT(15)
#define ATTR_UNUSABLE BIT(16)
#define ATTR_BITS     UINT64_C(0xf0ff)	/* without the limit's, which lie between in a descriptor */
#define RFLAGS_VM      BIT(17)
#define RFLAGS_ALLOWED UINT64_C(0x3f7fd7)

struct check {
	const struct scry_rules *rules;
	const struct scry_regs *now, *wanted;
	uint64_t mask;
	char *text;
	size_t size;
};

static int no(const struct check *c, const char *what)
{
	snprintf(c->text, c->size, "the processor would refuse it: %s", what);
	return SCRY_E_REFUSED;
}

static bool canonical(uint64_t address, uint64_t cr4)
{
	int shift = cr4 & CR4_LA57 ? 7 : 16;

	return (uint64_t)((int64_t)(address << shift) >> shift) == address;
}

static int check_control_bits(const struct check *c)
{
	const struct scry_regs *w = c->wanted;
	unsigned width = c->rules->width;

	if (w->cr0 & ~LOW32)
		return no(c, "bits 63:32 of CR0 are reserved");
	if (WANTS(CR4) && w->cr4 & ~c->rules->cr4)
		return no(c, "a bit of CR4 is reserved, or its feature is not in the guest's CPUID");
	if (WANTS(EFER) && w->efer & ~c->rules->efer)
		return no(c, "a bit of EFER is reserved, or its feature is not in the guest's CPUID");
	if (WANTS(CR3) && w->cr3 >> (width >= 32 && width <= 52 ? width : 36))
		return no(c, "CR3 lies beyond the guest's physical address width");
	return 0;
}

/* SDM vol. 3: 2.5, 4.1 and 9.8.5: how CR0, CR4 and EFER go together. */
static int check_control_mix(const struct check *c)
{
	const struct scry_regs *w = c->wanted, *now = c->now;
	bool lma = w->efer & EFER_LMA, lma_now = now->efer & EFER_LMA;
	bool changes = ((w->efer ^ now->efer) & EFER_LME) && (now->cr0 & w->cr0 & CR0_PG);

	if ((w->cr0 & CR0_PG) && !(w->cr0 & CR0_PE))
		return no(c, "CR0.PG needs CR0.PE");
	if ((w->cr0 & CR0_NW) && !(w->cr0 & CR0_CD))
		return no(c, "CR0.NW needs CR0.CD");
	if (lma != ((w->efer & EFER_LME) && (w->cr0 & CR0_PG)))
		return no(c, "EFER.LMA must be EFER.LME and CR0.PG");
	if (changes)
		return no(c, "EFER.LME cannot change while CR0.PG is set");
	if (lma && !(w->cr4 & CR4_PAE))
		return no(c, "long mode needs CR4.PAE");
	if (lma && lma_now && ((w->cr4 ^ now->cr4) & CR4_LA57))
		return no(c, "CR4.LA57 cannot change in long mode");
	if ((w->cr4 & CR4_PCIDE) && !lma)
		return no(c, "CR4.PCIDE needs long mode");
	if (!(now->cr4 & CR4_PCIDE) && (w->cr4 & CR4_PCIDE) && (w->cr3 & 0xfff))
		return no(c, "CR4.PCIDE cannot be set while CR3 bits 11:0 are not 0");
	return 0;
}

static bool segment_valid(const struct scry_seg *seg)
{
	if (seg->attr & ~(ATTR_BITS | ATTR_UNUSABLE))
		return false;
	if (seg->attr & ATTR_UNUSABLE)
		return true;
	if (!(seg->attr & ATTR_P))
		return false;
	return seg->attr & ATTR_G ? (seg->limit & 0xfff) == 0xfff : seg->limit <= 0xfffff;
}

static int check_segments(const struct check *c)
{
	const struct scry_regs *w = c->wanted;

	for (int i = 0; i < 8; i++) {
		if (!(c->mask & SCRY_REG_BIT(SCRY_REG_ES) << i))
			continue;
		if (!segment_valid(&w->seg[i]))
			return no(c, "a segment's attributes are reserved, not present and not "
				     "unusable, or do not fit its limit");
		if (!canonical(w->seg[i].base, w->cr4))
			return no(c, "a segment's base is not canonical");
	}
	if ((WANTS(GDTR) && (!canonical(w->gdtr.base, w->cr4) || w->gdtr.limit > 0xffff)) ||
	    (WANTS(IDTR) && (!canonical(w->idtr.base, w->cr4) || w->idtr.limit > 0xffff)))
		return no(c, "GDTR or IDTR has a base that is not canonical, or a limit above 0xffff");
	return 0;
}

bool scry_rules_rip(uint64_t rip, bool code64, uint64_t cr4)
{
	return code64 ? canonical(rip, cr4) : rip <= LOW32;
}

static int check_flow(const struct check *c)
{
	const struct scry_regs *w = c->wanted;
	bool lma = w->efer & EFER_LMA;

	if (WANTS(RIP) && !scry_rules_rip(w->rip, lma && (w->seg[1].attr & ATTR_L), w->cr4))
		return no(c, "rip is not canonical, or beyond 4 GiB outside 64-bit mode");
	if (WANTS(RFLAGS) && (w->rflags & ~RFLAGS_ALLOWED))
		return no(c, "a reserved bit of RFLAGS is set");
	if (WANTS(RFLAGS) && (w->rflags & RFLAGS_VM) && (lma || !(w->cr0 & CR0_PE)))
		return no(c, "RFLAGS.VM needs protected mode outside long mode");
	return 0;
}

static int check_others(const struct check *c)
{
	const struct scry_regs *w = c->wanted;
	uint64_t x = w->xcr0;

	if (WANTS(CR8) && w->cr8 > 15)
		return no(c, "CR8 is 0 to 15");
	if ((WANTS(DR6) && w->dr6 > LOW32) || (WANTS(DR7) && w->dr7 > LOW32))
		return no(c, "bits 63:32 of DR6 and DR7 are reserved");
	if (!WANTS(XCR0))
		return 0;
	if (x & ~(c->rules->xcr0 | 1))
		return no(c, "a bit of XCR0 is not in the guest's CPUID");
	if (!(x & BIT(0)) || ((x & BIT(2)) && !(x & BIT(1))))
		return no(c, "XCR0 needs x87 (bit 0), and SSE (bit 1) for AVX (bit 2)");
	if (!(x & BIT(3)) != !(x & BIT(4)))
		return no(c, "the two MPX bits of XCR0 go together");
	if ((x & 0xe0) && (x & 0xe4) != 0xe4)
		return no(c, "the three AVX-512 bits of XCR0 go together and with AVX");
	return 0;
}

int scry_rules_check(const struct scry_rules *rules, const struct scry_regs *now,
		     const struct scry_regs *wanted, uint64_t mask, char *text, size_t size)
{
	const struct check check = { .rules = rules, .now = now, .wanted = wanted, .mask = mask,
				     .text = text, .size = size }, *c = &check;
	int status = 0;

	if (WANTS(CR0) || WANTS(CR3) || WANTS(CR4) || WANTS(EFER)) {
		status = check_control_bits(c);
		if (!status)
			status = check_control_mix(c);
	}
	if (!status)
		status = check_segments(c);
	if (!status)
		status = check_flow(c);
	return status ? status : check_others(c);
}
