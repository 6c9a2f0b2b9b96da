/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "console.h"

static void take_wrmsr(struct console *c, const char *text)
{
	uint32_t index;
	int n = 0;

	if (sscanf(text, "%" SCNx32 " %n", &index, &n) < 1 || !n)
		return;
	c->wrmsr_index = index;
	snprintf(c->wrmsr, sizeof(c->wrmsr), "%s", text + n);
	c->wrmsrs++;
}

static void take_tick(struct console *c, const char *text)
{
	uint64_t tick;
	int n = 0;

	if (sscanf(text, "%" SCNu64 " checksum %n", &tick, &n) < 1 || !n)
		return;
	c->tick = tick;
	c->ticks++;
	if (strcmp(text + n, "OK"))
		c->bad_sums++;
}

/* What follows word in the line, or NULL. */
static const char *behind(const char *line, const char *word)
{
	const char *found = strstr(line, word);

	return found ? found + strlen(word) : NULL;
}

static void take_line(struct console *c)
{
	const char *text;

	c->line[c->len] = 0;
	c->len = 0;
	if (!c->line[0])
		return;
	strcpy(c->kept[c->lines++ % CONSOLE_KEPT], c->line);
	if ((text = behind(c->line, "guest: vendor "))) {
		snprintf(c->vendor, sizeof(c->vendor), "%s", text);
		c->vendors++;
	} else if ((text = behind(c->line, "guest: wrmsr "))) {
		take_wrmsr(c, text);
	} else if ((text = behind(c->line, "guest: tick "))) {
		take_tick(c, text);
	} else if (behind(c->line, "guest: cpuids ")) {
		c->cpuids++;
	} else if ((text = strstr(c->line, "Linux version ")) && !c->banner[0]) {
		snprintf(c->banner, sizeof(c->banner), "%s", text);
	}
}

void console_feed(struct console *c, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (data[i] == '\n')
			take_line(c);
		else if (data[i] >= 0x20 && data[i] < 0x7f && c->len < CONSOLE_LINE - 1)
			c->line[c->len++] = data[i];
	}
}

const char *console_last(const struct console *c)
{
	return c->lines ? c->kept[(c->lines - 1) % CONSOLE_KEPT] : "";
}
