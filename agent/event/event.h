/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_EVENT_H
#define AGENT_EVENT_H

/* QEMU calls this before the guest executes an instruction that site_decode() knows. */
void event_callback(unsigned vcpu, void *site);

#endif
