/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "eventexpr.h"
#include "msrname.h"
#include "parse.h"

static struct scry_subscription subscription(enum scry_event_kind kind)
{
	return (struct scry_subscription){ .sz = sizeof(struct scry_subscription), .kind = kind };
}

static bool parse_u32(const char *text, uint32_t *value)
{
	uint64_t number;

	if (!parse_u64(text, &number) || number > UINT32_MAX)
		return false;
	*value = (uint32_t)number;
	return true;
}

static int parse_cpuid(const char *filter, struct scry_subscription *sub)
{
	char leaf[32];
	const char *dot;

	*sub = subscription(SCRY_EVENT_CPUID);
	if (!filter)
		return 1;
	dot = strchr(filter, '.');
	if (dot) {
		sub->cpuid.use_subleaf = 1;
		if (!parse_u32(dot + 1, &sub->cpuid.subleaf))
			return 0;
	}
	if (snprintf(leaf, sizeof(leaf), "%.*s", dot ? (int)(dot - filter) : 31, filter) > 30)
		return 0;
	sub->cpuid.use_leaf = 1;
	return parse_u32(leaf, &sub->cpuid.leaf);
}

static int parse_msr_event(enum scry_event_kind kind, const char *filter,
			   struct scry_subscription *sub)
{
	*sub = subscription(kind);
	if (!filter)
		return 1;
	sub->msr.count = 1;
	return parse_msr(filter, &sub->msr.index[0]);
}

static int parse_plain(const char *text, struct scry_subscription *sub)
{
	if (!strcmp(text, "int3")) {
		*sub = subscription(SCRY_EVENT_INT3);
		return 1;
	}
	if (strcmp(text, "cr0") && strcmp(text, "cr3") && strcmp(text, "cr4"))
		return 0;
	*sub = subscription(SCRY_EVENT_CR_WRITE);
	sub->cr.cr = (uint32_t)(text[2] - '0');
	return 1;
}

/* Is text the word, alone or with a filter behind a colon? */
static bool is_word(const char *text, const char *word, const char **filter)
{
	size_t len = strlen(word);

	if (strncmp(text, word, len) || (text[len] && text[len] != ':'))
		return false;
	*filter = text[len] ? text + len + 1 : NULL;
	return true;
}

int parse_event(const char *text, struct scry_subscription subs[2])
{
	const char *filter;

	if (is_word(text, "cpuid", &filter))
		return parse_cpuid(filter, &subs[0]);
	if (is_word(text, "rdmsr", &filter))
		return parse_msr_event(SCRY_EVENT_MSR_READ, filter, &subs[0]);
	if (is_word(text, "wrmsr", &filter))
		return parse_msr_event(SCRY_EVENT_MSR_WRITE, filter, &subs[0]);
	if (is_word(text, "msr", &filter))
		return parse_msr_event(SCRY_EVENT_MSR_READ, filter, &subs[0]) &&
		       parse_msr_event(SCRY_EVENT_MSR_WRITE, filter, &subs[1]) ? 2 : 0;
	return parse_plain(text, &subs[0]);
}
