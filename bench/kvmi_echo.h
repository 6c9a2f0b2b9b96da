/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_BENCH_KVMI_ECHO_H
#define SCRY_BENCH_KVMI_ECHO_H

#include "protocol/kvmi_event.h"

/* Bytes of an event of v12 with values, CR's or MSR's, and of the reply to it. */
#define ECHO_EVENT (sizeof(struct kvmi_header) + sizeof(struct kvmi_v12_event) + \
		    sizeof(struct kvmi_v12_common) + sizeof(struct kvmi_event_cr))
#define ECHO_REPLY (sizeof(struct kvmi_header) + sizeof(struct kvmi_vcpu) + \
		    sizeof(struct kvmi_event_reply) + sizeof(struct kvmi_reply_value))

/* A process that does nothing but send the one for the other: our end of its socket, or -1. */
int echo_start(void);

/* So many round trips with it: nanoseconds each, or < 0. */
double echo_ns(int fd, unsigned rounds);

#endif
