/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <cpuid.h>

#include "../../../protocol/rules.h"
#include "regs.h"

/* Xen itself checks what of CR4, EFER and XCR0 the domain's processor has. */
int xen_regs_check(const struct scry_regs *now, const struct scry_regs *wanted, uint64_t mask)
{
	struct scry_rules rules = { .cr4 = UINT64_MAX, .efer = UINT64_MAX, .xcr0 = UINT64_MAX };
	unsigned eax = 0, ebx, ecx, edx;
	char text[160];
	int ret;

	__get_cpuid(0x80000008, &eax, &ebx, &ecx, &edx);
	rules.width = eax & 0xff;
	ret = scry_rules_check(&rules, now, wanted, mask, text, sizeof(text));
	return ret < 0 ? scry_fail(ret, "%s", text) : 0;
}
