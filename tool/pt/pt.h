/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_PT_H
#define TOOL_PT_H

#include <scry/scry.h>
#include <stdbool.h>

/* "scry pt record": into FILE.cpuN, for each vCPU.  The exit status. */
struct pt_record {
	struct scry_pt_opts opts;
	const char *file;
	unsigned ms;		/* time to run, 0 = no end */
};
int pt_record(struct scry_vm *vm, const struct pt_record *record);

/* "scry pt decode": the path that a file tells of.  The exit status. */
struct pt_decode {
	const char *file;
	bool insns;		/* each instruction, not each run of them */
	bool json;
};
int pt_decode(struct scry_vm *vm, const struct pt_decode *decode);

#endif
