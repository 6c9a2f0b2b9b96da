/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_XEN_WATCHDOG_H
#define SCRY_XEN_WATCHDOG_H

#include <sys/types.h>

#include "shared.h"

/*
 * What a process does to a domain outlives it in Xen: pauses, traps, views, vCPUs
 * that wait for an answer.  So a handle that does any of that has a small process
 * beside it, its watchdog, which undoes everything (undo.h) when the handle is
 * closed, when its process dies, however it dies, or when it does not answer an
 * event in time.  To the program that uses the library it is no child to wait for,
 * holds none of its files and runs none of its code.
 */
struct xen_watchdog {
	pid_t pid;			/* 0 = there is none */
	int socket;			/* hangs up when the domain has ended, or the time is up */
	struct xen_shared *shared;
};

/* SCRY_E_BUSY names the process whose handle is on this domain already. */
int xen_watchdog_start(struct xen_watchdog *w, unsigned domid, unsigned vcpus,
		       uint32_t reply_timeout_ms);

/* Have it map the monitor's ring, before that is taken from the guest: 0 or -errno. */
int xen_watchdog_map(struct xen_watchdog *w, uint64_t gfn);

/*
 * Have it undo everything and end; waits for that at most so long.  False: it had been
 * killed, and everything is still to be undone.
 */
bool xen_watchdog_stop(struct xen_watchdog *w, int timeout_ms);
void xen_watchdog_forget(struct xen_watchdog *w);

/* Has it been killed?  It ends by itself only when all is undone. */
bool xen_watchdog_gone(const struct xen_watchdog *w);

#endif
