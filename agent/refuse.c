/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stdio.h>

#include "refuse.h"

static __thread char text[512];

int refuse(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(stderr, "scry-agent: %s\n", text);
	return -1;
}

const char *refusal(void)
{
	return text;
}
