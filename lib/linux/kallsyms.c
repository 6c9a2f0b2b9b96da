/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The kernel's own table of its symbols (scripts/kallsyms.c of Linux writes it), in
 * physical memory.  Its parts, each aligned to 8 bytes, in this order:
 *
 *	until 6.3: offsets, relative base, count, names, markers, (order,) tokens, token index
 *	from 6.4:  count, names, markers, tokens, token index, offsets, relative base, order
 *
 * The order (3 bytes a symbol) came with 6.2, and went into later 6.1s, too.  All is found from the tokens, which prove themselves: the index must have the
 * offset of each.  So do markers: each must be where the names have come to.
 */
#include <stdlib.h>
#include <string.h>

#include "kallsyms.h"
#include "../vm.h"

#define TOKENS        256
#define TOKEN_MOST    64u		/* bytes of one */
#define BLOCK         256u		/* symbols to a marker */
#define TAIL_MOST     (BLOCK * TOKENS)	/* bytes of the names behind the last marker */
#define NEAR          (UINT32_C(1) << 19)
#define FAR           (UINT32_C(1) << 23)
#define NAMES_MOST    (UINT32_C(64) << 20)
#define COUNT_MOST    (1u << 21)
#define MARKERS_MOST  (COUNT_MOST / BLOCK)
#define NAME_MOST     512u		/* KSYM_NAME_LEN */
#define KERNEL_HALF   0xffffffff80000000
#define ALIGN8(x)     (((x) + 7) & ~UINT64_C(7))

/* The tables while they are read.  Their gpas, and copies: the guest may change its own. */
struct tables {
	struct scry_vm *vm;
	uint64_t tokens, index, markers, names, offsets;
	uint32_t count, marker_count;
	uint64_t base;			/* relative base */
	uint64_t names_size;

	char token_text[TOKENS * TOKEN_MOST + 8];
	uint16_t token_at[TOKENS];
	uint8_t token_len[TOKENS];
	uint32_t *marker;
	uint8_t *name_bytes;
	int32_t *offset;
};

/* Where the table begins: 48 strings before "0", its first being at a multiple of 8. */
static bool find_tokens(struct tables *t, uint64_t gpa)
{
	char before['0' * TOKEN_MOST];
	size_t at = sizeof(before) - 1;

	if (gpa < sizeof(before) || scry_read_phys(t->vm, gpa - sizeof(before), before,
						   sizeof(before)) < 0 || before[at])
		return false;
	for (int i = 0; i < '0'; i++) {
		const char *end = memrchr(before, 0, at);

		if (!end || before + at - end > (ptrdiff_t)TOKEN_MOST)
			return false;
		at = (size_t)(end - before);
	}
	t->tokens = gpa - sizeof(before) + at + 1;
	return t->tokens % 8 == 0;
}

/* All 256 tokens, and the index behind them, which must agree. */
static bool read_tokens(struct tables *t)
{
	uint16_t index[TOKENS];
	size_t at = 0;

	if (scry_read_phys(t->vm, t->tokens, t->token_text, TOKENS * TOKEN_MOST) < 0)
		return false;
	for (int i = 0; i < TOKENS; i++) {
		size_t room = TOKENS * TOKEN_MOST - at;
		size_t len = strnlen(t->token_text + at, room < TOKEN_MOST ? room : TOKEN_MOST);

		if (len == room || len == TOKEN_MOST)
			return false;
		t->token_at[i] = (uint16_t)at;
		t->token_len[i] = (uint8_t)len;
		at += len + 1;
	}
	t->index = ALIGN8(t->tokens + at);
	return scry_read_phys(t->vm, t->index, index, sizeof(index)) >= 0 &&
	       !memcmp(index, t->token_at, sizeof(index));
}

/*
 * Markers that end at w[end], maybe filled up by one 0: backwards ever smaller numbers,
 * down to the first, which is 0.  Returns how many, or 0; *first is then their place.
 */
static uint32_t markers_before(const uint32_t *w, size_t end, size_t *first)
{
	size_t last, i;

	if (end < 3)
		return 0;
	last = w[end - 1] ? end - 1 : end - 2;
	for (i = last; i > 0 && w[i] > w[i - 1] && w[i] - w[i - 1] < BLOCK * NAME_MOST; i--)
		;
	*first = i;
	return w[i] || i % 2 || i == last || last - i >= MARKERS_MOST ? 0 : (uint32_t)(last - i + 1);
}

/* Could this many bytes behind that many markers be the order of the symbols, or nothing? */
static bool fits_order(size_t bytes, uint32_t markers)
{
	size_t block = 3 * BLOCK;

	return !bytes || (bytes > (markers - 1) * block && bytes < markers * block + 8);
}

/* In the `size` bytes before the tokens, which w has. */
static bool find_markers_in(struct tables *t, const uint32_t *w, size_t size)
{
	for (size_t end = size / 4; end >= 4; end -= 2) {
		size_t first;
		uint32_t count = markers_before(w, end, &first);

		if (!count || !fits_order(size - end * 4, count))
			continue;
		t->marker = malloc(count * sizeof(t->marker[0]));
		if (!t->marker)
			return false;
		memcpy(t->marker, w + first, count * sizeof(t->marker[0]));
		t->marker_count = count;
		t->markers = t->tokens - size + first * 4;
		return t->marker[count - 1] < NAMES_MOST;
	}
	return false;
}

/* Near, as they mostly are, then as far as a table may reach. */
static bool find_markers(struct tables *t)
{
	bool found = false;

	for (size_t size = NEAR; size <= FAR && !found; size *= FAR / NEAR) {
		uint32_t *w = malloc(size);

		if (t->tokens >= size && w && scry_read_phys(t->vm, t->tokens - size, w, size) >= 0)
			found = find_markers_in(t, w, size);
		free(w);
	}
	return found;
}

/* The length of the compressed name at p (with its count), or 0. */
static size_t name_size(const uint8_t *p, size_t left, size_t *head)
{
	size_t len;

	if (left < 2)
		return 0;
	*head = 1;
	len = p[0];
	if (len & 0x80) {
		len = (len & 0x7f) | (size_t)p[1] << 7;
		*head = 2;
	}
	return len && *head + len <= left ? *head + len : 0;
}

/* Do n names from p on fill the bytes up to the next multiple of 8, which is left? */
static bool names_end(const uint8_t *p, size_t left, uint32_t n)
{
	size_t head, size;

	for (; n; n--, p += size, left -= size) {
		size = name_size(p, left, &head);
		if (!size)
			return false;
	}
	return left < 8;
}

/*
 * Where the names begin, and how many there are: the count stands before them.  The
 * names behind the last marker, at most 256, end at the markers: so the place is one
 * of a few thousand, and the count must fit the number of markers.
 */
static bool names_begin(struct tables *t, uint64_t first, const uint8_t *head,
			const uint8_t *tail)
{
	for (size_t at = (size_t)(-first & 7); at < TAIL_MOST; at += 8) {
		uint32_t count[2];

		memcpy(count, head + at, sizeof(count));
		if (count[1] || (count[0] + UINT64_C(255)) / BLOCK != t->marker_count)
			continue;
		t->names = first + at;
		t->names_size = t->markers - t->names;
		t->count = count[0];
		if (names_end(tail + at, TAIL_MOST - at, t->count - (t->marker_count - 1) * BLOCK))
			return true;
	}
	return false;
}

static bool find_names(struct tables *t)
{
	size_t step = t->marker[t->marker_count - 1];
	uint64_t first = t->markers - TAIL_MOST - step;
	uint8_t *tail, *head;
	bool found;

	if (t->markers < TAIL_MOST + step + 8)
		return false;
	tail = malloc(TAIL_MOST);
	head = malloc(TAIL_MOST + 8);
	found = tail && head && scry_read_phys(t->vm, first + step, tail, TAIL_MOST) >= 0 &&
		scry_read_phys(t->vm, first - 8, head, TAIL_MOST + 8) >= 0 &&
		names_begin(t, first, head, tail);
	free(head);
	free(tail);
	return found;
}

static uint64_t address_of(const struct tables *t, uint32_t i, bool has_absolute)
{
	if (!has_absolute)
		return t->base + (uint32_t)t->offset[i];
	/* Per-CPU symbols are absolute; the others are counted down from the base. */
	return t->offset[i] >= 0 ? (uint64_t)t->offset[i] :
				   t->base - 1 - (uint64_t)(int64_t)t->offset[i];
}

static bool any_negative(const struct tables *t)
{
	for (uint32_t i = 0; i < t->count; i++)
		if (t->offset[i] < 0)
			return true;
	return false;
}

/* Offsets and base as they would lie there: they prove themselves by their order. */
static bool try_offsets(struct tables *t, uint64_t offsets, uint64_t base, uint64_t *address)
{
	bool has_absolute;

	if (scry_read_phys(t->vm, base, &t->base, sizeof(t->base)) < 0 || t->base < KERNEL_HALF ||
	    scry_read_phys(t->vm, offsets, t->offset, t->count * sizeof(t->offset[0])) < 0)
		return false;
	has_absolute = any_negative(t);
	for (uint32_t i = 0; i < t->count; i++) {
		address[i] = address_of(t, i, has_absolute);
		if (i && address[i] < address[i - 1])
			return false;
	}
	return true;
}

static int read_addresses(struct tables *t, struct os_kallsyms *symbols)
{
	uint64_t size = ALIGN8(t->count * sizeof(t->offset[0]));
	uint64_t behind = t->index + TOKENS * sizeof(uint16_t);

	t->offset = malloc(size);
	symbols->address = malloc(t->count * sizeof(symbols->address[0]));
	if (!t->offset || !symbols->address)
		return scry_fail(SCRY_E_NOMEM, "out of memory for the guest's symbols");
	if (try_offsets(t, behind, behind + size, symbols->address) ||
	    (t->names > size + 16 &&
	     try_offsets(t, t->names - 16 - size, t->names - 16, symbols->address)))
		return 0;
	return SCRY_E_NOTFOUND;
}

/* One name, put together from its tokens: its length, or 0 if it is too long. */
static size_t expand(const struct tables *t, const uint8_t *p, size_t len, char *to)
{
	size_t at = 0;

	while (len--) {
		const char *token = t->token_text + t->token_at[*p];
		size_t n = t->token_len[*p++];

		if (at + n >= NAME_MOST)
			return 0;
		memcpy(to + at, token, 8);	/* most are short; there is room for more */
		if (n > 8)
			memcpy(to + at + 8, token + 8, n - 8);
		at += n;
	}
	to[at] = 0;
	return at;
}

/* Room for another name at symbols->text + used. */
static int text_room(struct os_kallsyms *symbols, size_t used, size_t *room)
{
	char *text;

	if (*room - used > 2 * NAME_MOST)
		return 0;
	*room = *room ? *room * 2 : 1u << 21;
	text = *room > UINT32_MAX ? NULL : realloc(symbols->text, *room);
	if (!text)
		return scry_fail(SCRY_E_NOMEM, "out of memory for the guest's symbols");
	symbols->text = text;
	return 0;
}

static int read_names(struct tables *t, struct os_kallsyms *symbols)
{
	size_t used = 0, room = 0, at = 0, head, size;

	for (uint32_t i = 0; i < t->count; i++, at += size) {
		size_t len;

		if (text_room(symbols, used, &room) < 0)
			return SCRY_E_NOMEM;
		size = name_size(t->name_bytes + at, t->names_size - at, &head);
		if (!size || (i % BLOCK == 0 && t->marker[i / BLOCK] != at))
			return SCRY_E_NOTFOUND;
		len = expand(t, t->name_bytes + at + head, size - head, symbols->text + used);
		if (len < 2)
			return SCRY_E_NOTFOUND;
		symbols->at[i] = (uint32_t)used;
		used += len + 1;
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
static int make_hash(struct os_kallsyms *symbols)
{
	uint32_t size = 1;

	while (size < 2 * symbols->count)
		size *= 2;
	symbols->hash_mask = size - 1;
	symbols->hash = calloc(size, sizeof(symbols->hash[0]));
	if (!symbols->hash)
		return scry_fail(SCRY_E_NOMEM, "out of memory for the guest's symbols");
	for (uint32_t i = 0; i < symbols->count; i++) {
		uint32_t at = hash_of(symbols->text + symbols->at[i] + 1) & symbols->hash_mask;

		while (symbols->hash[at])
			at = (at + 1) & symbols->hash_mask;
		symbols->hash[at] = i + 1;
	}
	return 0;
}

/* All that lies where it was found. */
static int read_symbols(struct tables *t, struct os_kallsyms *symbols)
{
	int ret = read_addresses(t, symbols);

	if (ret < 0)
		return ret;
	t->name_bytes = malloc(t->names_size);
	symbols->at = malloc(t->count * sizeof(symbols->at[0]));
	if (!t->name_bytes || !symbols->at)
		return scry_fail(SCRY_E_NOMEM, "out of memory for the guest's symbols");
	if (scry_read_phys(t->vm, t->names, t->name_bytes, t->names_size) < 0)
		return SCRY_E_NOTFOUND;
	symbols->count = t->count;
	symbols->gpa = t->tokens;
	ret = read_names(t, symbols);
	return ret < 0 ? ret : make_hash(symbols);
}

int os_kallsyms_read(struct scry_vm *vm, uint64_t gpa, struct os_kallsyms *symbols)
{
	struct tables *t = calloc(1, sizeof(*t));
	int ret = SCRY_E_NOTFOUND;

	*symbols = (struct os_kallsyms){ 0 };
	if (!t)
		return scry_fail(SCRY_E_NOMEM, "out of memory for the guest's symbols");
	t->vm = vm;
	if (find_tokens(t, gpa) && read_tokens(t) && find_markers(t) && find_names(t))
		ret = read_symbols(t, symbols);
	free(t->offset);
	free(t->name_bytes);
	free(t->marker);
	free(t);
	if (ret < 0)
		os_kallsyms_free(symbols);
	return ret;
}

void os_kallsyms_free(struct os_kallsyms *symbols)
{
	free(symbols->hash);
	free(symbols->text);
	free(symbols->at);
	free(symbols->address);
	*symbols = (struct os_kallsyms){ 0 };
}

bool os_kallsyms_find(const struct os_kallsyms *symbols, const char *name, uint64_t *address)
{
	uint32_t at = hash_of(name) & symbols->hash_mask;

	for (; symbols->hash[at]; at = (at + 1) & symbols->hash_mask) {
		uint32_t i = symbols->hash[at] - 1;

		if (strcmp(symbols->text + symbols->at[i] + 1, name))
			continue;
		*address = symbols->address[i];
		return true;
	}
	return false;
}

int64_t os_kallsyms_at(const struct os_kallsyms *symbols, uint64_t address)
{
	uint32_t low = 0, high = symbols->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (symbols->address[middle] <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return (int64_t)low - 1;
}
