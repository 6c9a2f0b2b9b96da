/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CHAOS_H
#define CHAOS_H

#include "conformance.h"

/* client.c: what a client does until it is killed; never returns 0. */
int client_run(const char *uri, unsigned seed);

/* kill_client.c: `kills` clients killed with SIGKILL, and what the guest says of it. */
int kill_clients(struct ctx *c, unsigned kills, unsigned seed);

/* storm.c: events at full rate from all vCPUs, counted. */
int storm(struct ctx *c, unsigned seconds);

/* vm_end.c: the VM ends in the way `how`, under a client that does `what`. */
int vm_end(struct ctx *c, int qemu_pid, const char *how, const char *what);

#endif
