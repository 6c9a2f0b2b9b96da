/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_INTERRUPT_H
#define AGENT_INTERRUPT_H

/* Get in between QEMU and the delivery of exceptions and interrupts.  0, or refuse(). */
int interrupt_init(void);

#endif
