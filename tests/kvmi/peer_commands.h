/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_TEST_KVMI_PEER_COMMANDS_H
#define SCRY_TEST_KVMI_PEER_COMMANDS_H

#include "peer.h"

/* Carry out a command and reply to it; with the peer's lock held. */
void peer_command(struct peer *p, const struct kvmi_header *header, const uint8_t *payload);

#endif
