/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "parse.h"
#include "term.h"

#define REDRAW_NS 100000000u
#define BAR_WIDTH 30

bool colour_on(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no && no[0]) && term && strcmp(term, "dumb");
}

const char *colour(enum colour c)
{
	static const char *const codes[] = {
		[PLAIN] = "\033[0m", [BOLD] = "\033[1m", [DIM] = "\033[2m", [RED] = "\033[31m",
		[GREEN] = "\033[32m", [YELLOW] = "\033[33m", [BLUE] = "\033[34m",
		[CYAN] = "\033[36m",
	};

	return colour_on() ? codes[c] : "";
}

int term_columns(int fd)
{
	struct winsize size;

	return ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_col < 20 ? 80 : size.ws_col;
}

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void progress_begin(struct progress *p, const char *what, uint64_t total)
{
	*p = (struct progress){ .what = what, .total = total ? total : 1, .began = now_ns(),
				.on = isatty(STDERR_FILENO) };
}

void progress_show(struct progress *p, uint64_t done)
{
	char a[32], b[32], rate[32], bar[BAR_WIDTH + 1];
	uint64_t now = now_ns();
	size_t full;

	if (!p->on || now - p->drawn < REDRAW_NS)
		return;
	p->drawn = now;
	full = (size_t)((double)done / (double)p->total * BAR_WIDTH);
	memset(bar, ' ', BAR_WIDTH);
	memset(bar, '#', full < BAR_WIDTH ? full : BAR_WIDTH);
	bar[BAR_WIDTH] = 0;
	format_size(rate, sizeof(rate),
		    (uint64_t)((double)done / ((double)(now - p->began + 1) / 1e9)));
	fprintf(stderr, "\r%s [%s] %s of %s, %s/s\033[K", p->what, bar,
		format_size(a, sizeof(a), done), format_size(b, sizeof(b), p->total), rate);
}

void progress_end(struct progress *p)
{
	if (p->on && p->drawn)
		fprintf(stderr, "\r\033[K");
}
