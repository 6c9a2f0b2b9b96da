/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_PERMIT_H
#define AGENT_PERMIT_H

#include "agent/qemu/cpu.h"
#include "decode.h"

/*
 * The callback comes before the processor's own checks: may this vCPU execute
 * the instruction where it is?  If not it raises #GP or #UD by itself, which is
 * no event of the instruction.
 */
bool site_permitted(struct qemu_cpu *cpu, struct site site);

/*
 * A LOCK prefix: before MOV CR0 it is AMD's way to CR8; before anything else it
 * is #UD, but QEMU 7.2 executes the instruction all the same.  True if it is
 * executed, with *site what it then does.
 */
bool site_unlock(struct qemu_cpu *cpu, struct site *site);

#endif
