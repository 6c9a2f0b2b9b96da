/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_TERM_H
#define TOOL_TERM_H

#include <stdbool.h>
#include <stdint.h>

enum colour { PLAIN, BOLD, DIM, RED, GREEN, YELLOW, BLUE, CYAN };

/* Colour on stdout?  Only on a terminal, and not against NO_COLOR or a dumb one. */
bool colour_on(void);

/* The escape code that switches to a colour, or "" where there is none on stdout. */
const char *colour(enum colour c);

/* Columns of the terminal behind fd, or 80. */
int term_columns(int fd);

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t now_ns(void);

/* A bar on stderr for long work; draws nothing where stderr is no terminal. */
struct progress {
	const char *what;
	uint64_t total, began, drawn;
	bool on;
};

void progress_begin(struct progress *p, const char *what, uint64_t total);
void progress_show(struct progress *p, uint64_t done);
void progress_end(struct progress *p);

#endif
