/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <strings.h>

#include "msrname.h"
#include "parse.h"

/* Those that one meets in any x86-64 system; SDM vol. 4 and APM vol. 2 have all. */
static const struct {
	uint32_t index;
	const char *name;
} names[] = {
	{ 0x10, "tsc" },		{ 0x1b, "apic_base" },
	{ 0x3a, "feature_control" },	{ 0x3b, "tsc_adjust" },
	{ 0x48, "spec_ctrl" },		{ 0x49, "pred_cmd" },
	{ 0x8b, "ucode_rev" },		{ 0xfe, "mtrrcap" },
	{ 0x174, "sysenter_cs" },	{ 0x175, "sysenter_esp" },
	{ 0x176, "sysenter_eip" },	{ 0x179, "mcg_cap" },
	{ 0x17a, "mcg_status" },	{ 0x1a0, "misc_enable" },
	{ 0x1d9, "debugctl" },		{ 0x277, "pat" },
	{ 0x2ff, "mtrr_def_type" },	{ 0x6e0, "tsc_deadline" },
	{ 0xd90, "bndcfgs" },		{ 0xda0, "xss" },
	{ 0xc0000080, "efer" },		{ 0xc0000081, "star" },
	{ 0xc0000082, "lstar" },	{ 0xc0000083, "cstar" },
	{ 0xc0000084, "fmask" },	{ 0xc0000100, "fs_base" },
	{ 0xc0000101, "gs_base" },	{ 0xc0000102, "kernel_gs_base" },
	{ 0xc0000103, "tsc_aux" },	{ 0xc0010015, "hwcr" },
	{ 0xc0010117, "vm_hsave_pa" },
};

#define COUNT (sizeof(names) / sizeof(names[0]))

const char *msr_name(uint32_t index)
{
	for (size_t i = 0; i < COUNT; i++)
		if (names[i].index == index)
			return names[i].name;
	return "";
}

void print_msr_names(void)
{
	for (size_t i = 0; i < COUNT; i++)
		printf("%-16s 0x%" PRIx32 "\n", names[i].name, names[i].index);
}

bool parse_msr(const char *text, uint32_t *index)
{
	uint64_t number;

	for (size_t i = 0; i < COUNT; i++) {
		if (!strcasecmp(names[i].name, text)) {
			*index = names[i].index;
			return true;
		}
	}
	if (!parse_u64(text, &number) || number > UINT32_MAX)
		return false;
	*index = (uint32_t)number;
	return true;
}
