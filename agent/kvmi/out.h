/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVMI_OUT_H
#define AGENT_KVMI_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/kvmi.h"

/*
 * What goes to the tool, whole messages in one piece, from any thread.  Nobody waits
 * for a tool that does not read: the rest is kept, and the service sends it later.
 */

/* fd = -1: there is no tool.  Its events count from 1. */
void kvmi_out_open(int fd);

/* A reply: payload is what comes behind struct kvmi_status, of which err is negated or 0. */
void kvmi_out_reply(const struct kvmi_header *command, int err, const void *data, size_t size);

/* An event, of two parts; its number. */
uint32_t kvmi_out_event(uint16_t id, const void *head, size_t head_size, const void *part,
			size_t part_size);

/*
 * The service: what is answered from here on can be sent with what is answered next,
 * or is to be sent.
 */
void kvmi_out_gather(bool on);

/* How many bytes wait; send what can be sent. */
size_t kvmi_out_waiting(void);
void kvmi_out_flush(void);

/* Any thread: the tool has broken the protocol, hang up. */
void kvmi_out_hang_up(const char *why);

#endif
