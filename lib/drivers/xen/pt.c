/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "xen.h"

/*
 * Xen's vmtrace: Intel PT of a vCPU into a buffer that the domain was made with.  The
 * call for the position in it fails alike where the domain has no buffer and where
 * the processor cannot trace; what the machine can Xen tells apart.
 */

/* Other releases' structure may be longer than this one's. */
union physical {
	xc_physinfo_t info;
	char room[1024];
};

static bool can_trace(struct xen_vm *x)
{
	union physical physical = { 0 };

	return x->host.libraries.xc_physinfo(x->host.xc, &physical.info) == 0 &&
	       physical.info.capabilities & XEN_SYSCTL_PHYSCAP_vmtrace;
}

void xen_pt_caps(struct xen_vm *x)
{
	const char *why = "this VM has a buffer of Xen's vmtrace; the driver for Xen does not read it";
	uint64_t position;
	char text[160];

	if (XEN_CALL(x, xc_vmtrace_output_position, 0, &position) < 0) {
		int error = errno;

		snprintf(text, sizeof(text), "%s; Xen's vmtrace says: %s", can_trace(x) ?
			 "this VM was made without a buffer for it (vmtrace_buf_kb)" :
			 "not on this processor, which cannot write a guest's packets for Xen",
			 strerror(error));
		why = text;
	}
	scry_cap_set(x->vm, SCRY_CAP_PT, false, why);
}
