/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_MESSAGE_H
#define TOOL_MESSAGE_H

#include <stdlib.h>

#define EXIT_USAGE 2

/* "scry: ..." on stderr; returns EXIT_FAILURE, so that a command can `return fail(...)`. */
int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* fail() with the library's sentence. */
int fail_lib(void);

/* Something worth knowing that is no failure: "scry: note: ..." on stderr. */
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Out of memory: says so and exits. */
void die_nomem(void) __attribute__((noreturn));

/* p, or the end of the program if it is NULL. */
void *checked(void *p);

#endif
