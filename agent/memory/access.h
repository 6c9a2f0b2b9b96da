/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_ACCESS_H
#define AGENT_ACCESS_H

/* Get in between the vCPUs and their TLBs.  0, or refuse(). */
int access_init(void);

#endif
