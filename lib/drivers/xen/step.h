/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_XEN_STEP_H
#define SCRY_XEN_STEP_H

#include <stdbool.h>

#include "hypercall.h"

/* What a process that holds nothing else can call, too: its watchdog. */

/* Single-step a vCPU, or no more: 0 or -errno. */
int xen_step(struct xen_hyper *h, unsigned vcpu, bool on);

/*
 * A vCPU that has halted while it single-stepped may never wake (halt.c): its tick waits in
 * Xen's timer, which does not wake it again.  Wake it, with the interrupt of that timer.
 */
void xen_wake(struct xen_hyper *h, unsigned vcpu);

#endif
