/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_TEST_KVMI_HOSTILE_H
#define SCRY_TEST_KVMI_HOSTILE_H

#include "peer.h"

/* Short, for what the peer keeps back; long against its thread's turns. */
#define HOSTILE_TIMEOUT_MS 150

/*
 * Open the VM with so much patience, make every kind of call, take and answer every kind
 * of event, while the peer's messages are spoilt as p->spoil says.  Aborts if a call fails
 * without a sentence.  Returns the first failure, or 0; *which, if it is not NULL, says of
 * what.
 */
int hostile_session(struct peer *p, enum kvmi_generation generation, const char *path,
		    unsigned timeout_ms, const char **which);

/* Descriptors that this process has open. */
unsigned hostile_descriptors(void);

#endif
