/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_TEST_HOSTILE_H
#define SCRY_TEST_HOSTILE_H

#include <scry/scry.h>

#include "../lib/test.h"
#include "endpoint.h"

/*
 * The driver against an agent that misbehaves: each failure is a clean error
 * within the time-out, with no descriptor left over; the sanitizers look for
 * the rest.
 */
#define TIMEOUT_MS 500

/* A test's VM, with the endpoint behind it. */
struct hostile {
	struct endpoint endpoint;
	struct scry_vm *vm;
	uint32_t spoil_type;		/* of the request whose reply is spoilt; 0 = none */
	void (*how)(struct packet *reply);
};

/* cmocka set-up and tear-down: an endpoint that behaves, and nothing opened. */
int hostile_start(void **state);
int hostile_end(void **state);

/* Open the VM; the endpoint then spoils its replies to that type. */
void hostile_open(struct hostile *h);
void hostile_spoil(struct hostile *h, uint32_t type, void (*how)(struct packet *reply));

#endif
