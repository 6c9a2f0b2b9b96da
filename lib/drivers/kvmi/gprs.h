/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_KVMI_GPRS_H
#define SCRY_KVMI_GPRS_H

#include "../../driver.h"
#include "wire.h"

/* Those that SET_REGISTERS writes. */
#define KVMI_SETTABLE (SCRY_REGS_GPR | SCRY_REG_BIT(SCRY_REG_RIP) | SCRY_REG_BIT(SCRY_REG_RFLAGS))

/* Between KVM's layouts and ours. */
void kvmi_gprs_out(const struct kvmi_gprs *from, uint64_t gpr[16]);
void kvmi_gprs_in(struct kvmi_gprs *to, const struct scry_regs *regs, uint64_t mask);
void kvmi_sregs_out(const struct kvmi_sregs *from, struct scry_regs *regs);

#endif
