/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "../common/parse.h"
#include "expr.h"
#include "watchexpr.h"

/* Cut the text at this character: what is behind it, or NULL if it is not there. */
static char *cut(char *text, char at)
{
	char *where = strchr(text, at);

	if (where)
		*where++ = '\0';
	return where;
}

static bool take_size(const char *text, struct scry_watchpoint *w)
{
	if (!text)
		return true;
	if (strlen(text) != 1 || !strchr("1248", *text))
		return false;
	w->size = (uint32_t)(*text - '0');
	return true;
}

static bool take_access(const char *text, struct scry_watchpoint *w)
{
	w->access = SCRY_WRITE;
	if (!text || !strcmp(text, "w"))
		return true;
	w->access |= SCRY_READ;
	return !strcmp(text, "rw");
}

/* A symbol is only of the kernel, which is in every address space. */
static bool take_place(const char *text, const char *cr3, struct watch_expression *e)
{
	struct scry_watchpoint *w = &e->watchpoint;

	if (is_symbol(text)) {
		strcpy(e->symbol, text);
		return !cr3;
	}
	if (cr3 && !parse_u64(cr3, &w->cr3))
		return false;
	w->flags = cr3 ? SCRY_WATCHPOINT_CR3 : 0;
	return parse_u64(text, &w->address);
}

bool parse_watchpoint(const char *text, struct watch_expression *e)
{
	char words[WATCH_SYMBOL], *access, *size, *cr3;

	*e = (struct watch_expression){ .watchpoint.sz = sizeof(e->watchpoint) };
	if (strncmp(text, "watch:", 6) || strlen(text + 6) >= sizeof(words))
		return false;
	strcpy(words, text + 6);
	access = cut(words, ':');
	size = cut(words, '/');
	cr3 = cut(words, '@');
	return take_access(access, &e->watchpoint) && take_size(size, &e->watchpoint) &&
	       take_place(words, cr3, e);
}

void watchpoint_size(struct scry_watchpoint *w)
{
	if (w->size)
		return;
	w->size = 8;
	while (w->address % w->size)
		w->size /= 2;
}
