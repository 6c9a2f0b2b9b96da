/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVMI_HOST_H
#define AGENT_KVMI_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KVMI_HASH 20u	/* bytes of SHA-1 */

/* What only the KVMI server uses of QEMU: find it.  0, or refuse(). */
int kvmi_host_init(void);

/* With QEMU's big lock held: have this called, with it held, when the machine stops or goes on. */
void kvmi_host_watch(void (*running)(bool on));

/* With the lock held: the hash of what a `secret` object holds.  False: there is none. */
bool kvmi_host_hash(const char *id, uint8_t hash[KVMI_HASH]);

/* The VM's UUID, 16 bytes. */
const uint8_t *kvmi_host_uuid(void);

#endif
