/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "message.h"
#include "words.h"

static void take(struct words *w, char *word)
{
	w->v = checked(reallocarray(w->v, w->count + 2, sizeof(*w->v)));
	w->v[w->count++] = word;
	w->v[w->count] = NULL;
}

void words_add(struct words *w, const char *word)
{
	take(w, checked(strdup(word)));
}

void words_addf(struct words *w, const char *format, ...)
{
	char *word;
	va_list ap;
	int n;

	va_start(ap, format);
	n = vasprintf(&word, format, ap);
	va_end(ap);
	if (n < 0)
		die_nomem();
	take(w, word);
}

void words_free(struct words *w)
{
	for (size_t i = 0; i < w->count; i++)
		free(w->v[i]);
	free(w->v);
	*w = (struct words){ 0 };
}

static void print_quoted(const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-_=+,./:@%";

	if (word[0] && strspn(word, plain) == strlen(word)) {
		fputs(word, stdout);
		return;
	}
	putchar('\'');
	for (; *word; word++) {
		if (*word == '\'')
			fputs("'\\''", stdout);
		else
			putchar(*word);
	}
	putchar('\'');
}

void words_print(const struct words *w)
{
	for (size_t i = 0; i < w->count; i++) {
		if (i)
			putchar(' ');
		print_quoted(w->v[i]);
	}
	putchar('\n');
}
