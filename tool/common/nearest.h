/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_NEAREST_H
#define TOOL_NEAREST_H

#include <stddef.h>

/* Which of several words a mistyped one was meant to be. */
struct nearest {
	const char *word;
	const char *found;	/* NULL if none is near */
	size_t distance;
};

struct nearest nearest_to(const char *word);
void nearest_try(struct nearest *nearest, const char *candidate);

#endif
