/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_SERVICE_H
#define AGENT_SERVICE_H

/*
 * The agent's own thread: it serves the socket as soon as QEMU has made the
 * machine with this many vCPUs.  0, or refuse().
 */
int service_start(unsigned vcpus);

#endif
