/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Names and addresses in the kernel's table of symbols, once that is copied. */
#include <stdlib.h>
#include <string.h>

#include "kallsyms.h"
#include "../vm.h"

/* One name with its type letter, put together from its tokens: its length, or 0 if it is too long. */
static size_t expand(const struct os_kallsyms *symbols, const uint8_t *p, size_t len, char *to)
{
	size_t at = 0;

	while (len--) {
		const char *token = symbols->token_text + symbols->token_at[*p];
		size_t n = symbols->token_len[*p++];

		if (at + n >= OS_NAME_MOST)
			return 0;
		memcpy(to + at, token, 8);	/* most are short; there is room for more */
		if (n > 8)
			memcpy(to + at + 8, token + 8, n - 8);
		at += n;
	}
	to[at] = 0;
	return at;
}

#define EXPANDED (OS_NAME_MOST + 8)	/* room that expand() wants */

static bool name_of(const struct os_kallsyms *symbols, uint32_t i, char to[EXPANDED])
{
	size_t at = symbols->marker[i / OS_BLOCK], head = 0, size;

	for (uint32_t n = i % OS_BLOCK;; n--, at += size) {
		size = os_name_size(symbols->names + at, symbols->names_size - at, &head);
		if (!n || !size)
			break;
	}
	return size && expand(symbols, symbols->names + at + head, size - head, to);
}

/* The i-th by name; false if the order is none. */
static bool in_order(const struct os_kallsyms *symbols, uint32_t i, uint32_t *index)
{
	const uint8_t *p = symbols->order + 3 * (size_t)i;

	*index = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
	return *index < symbols->count;
}

/* The first not before `name` in the order by name. */
static bool find_by_order(const struct os_kallsyms *symbols, const char *name, uint64_t *address)
{
	uint32_t low = 0, high = symbols->count, i;
	char text[EXPANDED];

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (!in_order(symbols, middle, &i) || !name_of(symbols, i, text))
			return false;
		if (strcmp(text + 1, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == symbols->count || !in_order(symbols, low, &i) || !name_of(symbols, i, text) ||
	    strcmp(text + 1, name))
		return false;
	*address = os_kallsyms_address(symbols, i);
	return true;
}

/* Room for another name at symbols->text + used. */
static int text_room(struct os_kallsyms *symbols, size_t used, size_t *room)
{
	char *text;

	if (*room - used > EXPANDED)
		return 0;
	*room = *room ? *room * 2 : 1u << 22;
	text = *room > UINT32_MAX ? NULL : realloc(symbols->text, *room);
	if (!text)
		return SCRY_E_NOMEM;
	symbols->text = text;
	return 0;
}

static int make_text(struct os_kallsyms *symbols)
{
	size_t used = 0, room = 0, at = 0, head, size, len;

	for (uint32_t i = 0; i < symbols->count; i++, at += size) {
		if (text_room(symbols, used, &room) < 0)
			return SCRY_E_NOMEM;
		size = os_name_size(symbols->names + at, symbols->names_size - at, &head);
		symbols->at[i] = (uint32_t)used;
		len = expand(symbols, symbols->names + at + head, size - head,
			     symbols->text + used);
		/* What is no name has none. */
		if (!len)
			memcpy(symbols->text + used, "?", 2);
		used += (len ? len : 1) + 1;
	}
	return 0;
}

static uint32_t hash_of(const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 16777619u;
	return h ^ h >> 15;
}

/* In order, so that of equal names the lowest is met first. */
static void make_hash(struct os_kallsyms *symbols)
{
	for (uint32_t i = 0; i < symbols->count; i++) {
		uint32_t at = hash_of(symbols->text + symbols->at[i] + 1) & symbols->hash_mask;

		while (symbols->hash[at])
			at = (at + 1) & symbols->hash_mask;
		symbols->hash[at] = i + 1;
	}
}

int os_kallsyms_index(struct os_kallsyms *symbols)
{
	uint32_t size = 1;
	int ret = 0;

	if (symbols->hash)
		return 0;
	while (size < 2 * symbols->count)
		size *= 2;
	symbols->hash_mask = size - 1;
	symbols->at = malloc(symbols->count * sizeof(symbols->at[0]));
	symbols->hash = calloc(size, sizeof(symbols->hash[0]));
	ret = symbols->at && symbols->hash ? make_text(symbols) : SCRY_E_NOMEM;
	if (!ret) {
		make_hash(symbols);
		return 0;
	}
	free(symbols->hash);
	free(symbols->at);
	free(symbols->text);
	symbols->hash = symbols->at = NULL;
	symbols->text = NULL;
	return scry_fail(ret, "out of memory for the guest's symbols");
}

static bool find_by_hash(const struct os_kallsyms *symbols, const char *name, uint64_t *address)
{
	uint32_t at = hash_of(name) & symbols->hash_mask;

	for (; symbols->hash[at]; at = (at + 1) & symbols->hash_mask) {
		uint32_t i = symbols->hash[at] - 1;

		if (strcmp(symbols->text + symbols->at[i] + 1, name))
			continue;
		*address = os_kallsyms_address(symbols, i);
		return true;
	}
	return false;
}

/* The order by name spares the index for the few symbols that are mostly asked for. */
bool os_kallsyms_find(struct os_kallsyms *symbols, const char *name, uint64_t *address)
{
	if (!symbols->hash && symbols->order && find_by_order(symbols, name, address))
		return true;
	return os_kallsyms_index(symbols) >= 0 && find_by_hash(symbols, name, address);
}

int64_t os_kallsyms_at(const struct os_kallsyms *symbols, uint64_t address)
{
	uint32_t low = 0, high = symbols->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (os_kallsyms_address(symbols, middle) <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return (int64_t)low - 1;
}

void os_kallsyms_free(struct os_kallsyms *symbols)
{
	free(symbols->hash);
	free(symbols->text);
	free(symbols->at);
	free(symbols->order);
	free(symbols->marker);
	free(symbols->names);
	free(symbols->offset);
	*symbols = (struct os_kallsyms){ 0 };
}
