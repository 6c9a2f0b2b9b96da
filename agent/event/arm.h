/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_ARM_H
#define AGENT_ARM_H

#include "filter.h"

/* Note under which number QEMU knows this plugin. */
void arm_init(uint64_t plugin_id);

/*
 * Service thread: make these the filters in force, or none (NULL), and wait
 * until no vCPU uses the former ones, which are then freed.  Takes ownership.
 *
 * Only while there is a filter does QEMU call the agent at all: when the kinds
 * of events change, all code is translated anew, with a callback on exactly
 * the instructions that matter.
 */
void arm(struct filters *filters);

/*
 * While no vCPU is in a block: what else is watched has changed; anew = code that is
 * translated already is of no use, even if no kind of event has come or gone.
 */
void arm_again(struct qemu_cpu *cpu, bool anew);

/* Under TCG: have instructions watched, and vCPUs step, as the filters have it. */
void arm_sites(struct qemu_cpu *cpu, const struct filters *filters);

/* Are the instructions of this kind watched? */
bool arm_watches(enum scry_event_kind kind);

/* Is anything to be told of? */
bool arm_any(void);

/* The filters in force: for the service thread, and for vCPUs in a block. */
const struct filters *arm_filters(void);

#endif
