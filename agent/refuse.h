/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_REFUSE_H
#define AGENT_REFUSE_H

/* Say on stderr why the agent will not work in this QEMU.  Returns -1. */
int refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What this thread has said last; "" = nothing. */
const char *refusal(void);

#endif
