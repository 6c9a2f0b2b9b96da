/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "../common/term.h"
#include "demo.h"

void show_step(unsigned number, unsigned of, const char *title)
{
	printf("\n%s[%u/%u] %s%s\n", colour(BOLD), number, of, title, colour(PLAIN));
	fflush(stdout);
}

void show(const char *format, ...)
{
	va_list ap;

	fputs(DEMO_INDENT, stdout);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

void show_ok(const char *format, ...)
{
	va_list ap;

	printf("  %sok%s  ", colour(GREEN), colour(PLAIN));
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

void show_live(const char *format, ...)
{
	char text[512];
	int columns;
	va_list ap;

	if (!isatty(STDOUT_FILENO))
		return;
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	/* A line that wraps could not be replaced. */
	columns = term_columns(STDOUT_FILENO) - 7;
	printf("\r" DEMO_INDENT "%s%.*s%s\033[K", colour(DIM), columns, text, colour(PLAIN));
	fflush(stdout);
}

void show_live_end(void)
{
	if (!isatty(STDOUT_FILENO))
		return;
	printf("\r\033[K");
	fflush(stdout);
}
