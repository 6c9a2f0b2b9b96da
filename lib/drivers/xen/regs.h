/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_XEN_REGS_H
#define SCRY_XEN_REGS_H

#include "xen.h"

/*
 * May a vCPU with `now` be given `wanted`, of which only the mask's differ?  Xen would
 * load what the processor then refuses, and destroy the domain.  SCRY_E_REFUSED.
 */
int xen_regs_check(const struct scry_regs *now, const struct scry_regs *wanted, uint64_t mask);



#endif
