/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "golden.h"

static int hex_byte(const char *s)
{
	unsigned value;

	return sscanf(s, "%2x", &value) == 1 ? (int)value : -1;
}

/* "0a0b" or "00*7" */
static int add_token(struct golden *g, const char *token)
{
	const char *star = strchr(token, '*');
	size_t times = star ? strtoul(star + 1, NULL, 10) : 1;
	size_t digits = star ? (size_t)(star - token) : strlen(token);

	if (digits % 2 || (star && digits != 2))
		return -1;
	for (size_t i = 0; i < digits; i += 2) {
		int byte = hex_byte(token + i);

		for (size_t n = 0; n < times; n++) {
			if (byte < 0 || g->len == sizeof(g->bytes))
				return -1;
			g->bytes[g->len++] = (uint8_t)byte;
		}
	}
	return 0;
}

static int add_line(struct golden *g, char *line)
{
	char *save = NULL;

	for (char *t = strtok_r(line, " \n", &save); t; t = strtok_r(NULL, " \n", &save))
		if (add_token(g, t) < 0)
			return -1;
	return 0;
}

int golden_next(FILE *f, struct golden *g)
{
	char line[256];
	int c;

	g->len = 0;
	do
		if (!fgets(g->text, sizeof(g->text), f))
			return 0;
	while (g->text[0] == '#');
	g->text[strcspn(g->text, "\n")] = 0;
	while ((c = getc(f)) == ' ')
		if (!fgets(line, sizeof(line), f) || add_line(g, line) < 0)
			return -1;
	ungetc(c, f);
	return g->len >= sizeof(struct kvmi_header) ? 1 : -1;
}

uint64_t golden_value(const struct golden *g, const char *name, int *found)
{
	char key[40];
	const char *at;

	snprintf(key, sizeof(key), " %s=", name);
	at = strstr(g->text, key);
	if (found)
		*found = !!at;
	return at ? strtoull(at + strlen(key), NULL, 0) : 0;
}
