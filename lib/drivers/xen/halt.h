/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_XEN_HALT_H
#define SCRY_XEN_HALT_H

#include "events.h"

/*
 * Into a vCPU that single-steps, Xen injects nothing, and it does not even take a tick of
 * the local APIC out of the timer that it keeps for that (vmx_intr_assist() in 4.17).
 * HLT looks into the APIC alone and halts, and a timer whose tick waits is not set again:
 * nobody would ever wake that vCPU.  So one that comes to HLT *rests*: it steps no more,
 * halts, takes the interrupt that wakes it, and steps on when it is seen to have run.
 */

/*
 * With e->lock and the vCPU's held: it waits for an answer, so it does not rest; and this
 * answer is about to be given.
 */
void xen_halt_over(struct xen_events *e, unsigned vcpu);
void xen_halt_answer(struct xen_events *e, unsigned vcpu, const vm_event_response_t *response);
/* With e->lock held: it begins to step, or ends to. */
int xen_halt_step(struct xen_events *e, unsigned vcpu, bool on);

/* From time to time: those that have rested step on, and who cannot wake is woken. */
void xen_halt_look(struct xen_events *e);
/* Is one of them resting?  Then that is soon. */
bool xen_halt_rests(const struct xen_events *e);

#endif
