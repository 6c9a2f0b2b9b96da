/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_WORDS_H
#define TOOL_WORDS_H

#include <stddef.h>

/* A command line that grows; the words are its own, and v[count] is NULL. */
struct words {
	char **v;
	size_t count;
};

void words_add(struct words *w, const char *word);
void words_addf(struct words *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
void words_free(struct words *w);

/* On stdout, so that a shell would read the same words. */
void words_print(const struct words *w);

#endif
