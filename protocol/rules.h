/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_RULES_H
#define SCRY_RULES_H

#include <stdbool.h>
#include <stddef.h>

#include <scry/regs.h>

/* What is a processor's own among the rules for its registers. */
struct scry_rules {
	uint64_t cr4, efer, xcr0;	/* bits that it has */
	unsigned width;			/* of its physical addresses */
};

/*
 * Would the processor accept this state?  Only what mask touches is looked at.
 * 0, or SCRY_E_REFUSED with a sentence in text.
 */
int scry_rules_check(const struct scry_rules *rules, const struct scry_regs *now,
		     const struct scry_regs *wanted, uint64_t mask, char *text, size_t size);

/* May rip be this, in 64-bit code or other? */
bool scry_rules_rip(uint64_t rip, bool code64, uint64_t cr4);

#endif
