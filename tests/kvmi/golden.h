/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_TEST_GOLDEN_H
#define SCRY_TEST_GOLDEN_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "protocol/kvmi.h"

/* A message of the file: what it means, and its bytes. */
struct golden {
	char text[256];
	uint8_t bytes[KVMI_MESSAGE_MOST];
	size_t len;
};

/* The next one: 1, 0 at the end, -1 if the file is malformed. */
int golden_next(FILE *f, struct golden *g);

/* The value of " name=" in its text; found says whether it is there. */
uint64_t golden_value(const struct golden *g, const char *name, int *found);

#endif
