/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_XEN_CLAIM_H
#define SCRY_XEN_CLAIM_H

#include <sys/types.h>

/*
 * Which process has a handle on a domain.  It stands in a file of root's, in the domain's
 * place, which is locked as long as anybody has the descriptor: the watchdog does.
 */

/* A descriptor that holds the domain for this process, or -errno: -EBUSY = another does. */
int xen_claim(unsigned domid);
/* The same; waits for the watchdog of a process that has died, which lets go soon. */
int xen_claim_after_death(unsigned domid);

/* The process that has a handle on the domain, or 0. */
pid_t xen_claim_owner(unsigned domid);
/* It could not be had, for this error: a failure that says why. */
int xen_claim_failed(unsigned domid, int error);

#endif
