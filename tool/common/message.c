/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <scry/scry.h>

#include "message.h"

static void say(const char *prefix, const char *format, va_list ap)
{
	char *text;

	/* What was printed so far comes first, where both go to the same place. */
	fflush(stdout);
	fputs(prefix, stderr);
	if (vasprintf(&text, format, ap) < 0)
		text = NULL;
	/* It may quote what was typed, or a VM's name: one line, no commands to a terminal. */
	for (char *c = text; c && *c; c++)
		if (iscntrl((unsigned char)*c))
			*c = '?';
	fprintf(stderr, "%s\n", text ? text : format);
	free(text);
}

int fail(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	say("scry: ", format, ap);
	va_end(ap);
	return EXIT_FAILURE;
}

int fail_lib(void)
{
	return fail("%s", scry_errmsg());
}

void note(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	say("scry: note: ", format, ap);
	va_end(ap);
}

void die_nomem(void)
{
	exit(fail("out of memory"));
}

void *checked(void *p)
{
	if (!p)
		die_nomem();
	return p;
}
