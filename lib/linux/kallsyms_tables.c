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

#define TOKENS        OS_TOKENS
#define TOKEN_MOST    OS_TOKEN_MOST
#define BLOCK         OS_BLOCK
#define NAME_MOST     OS_NAME_MOST
#define TAIL_MOST     (BLOCK * TOKENS)	/* bytes of the names behind the last marker */
#define NEAR          (UINT32_C(1) << 19)
#define FAR           (UINT32_C(1) << 23)
#define NAMES_MOST    (UINT32_C(64) << 20)
#define COUNT_MOST    (1u << 21)
#define MARKERS_MOST  (COUNT_MOST / BLOCK)
#define KERNEL_HALF   0xffffffff80000000
#define ALIGN8(x)     (((x) + 7) & ~UINT64_C(7))

/* Where the tables lie (gpas); what is copied goes to *symbols. */
struct tables {
	struct scry_vm *vm;
	struct os_kallsyms *symbols;
	uint64_t tokens, index, markers, names;
	uint32_t marker_count;
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

	if (scry_read_phys(t->vm, t->tokens, t->symbols->token_text, TOKENS * TOKEN_MOST) < 0)
		return false;
	for (int i = 0; i < TOKENS; i++) {
		size_t room = TOKENS * TOKEN_MOST - at;
		size_t len = strnlen(t->symbols->token_text + at, room < TOKEN_MOST ? room : TOKEN_MOST);

		if (len == room || len == TOKEN_MOST)
			return false;
		t->symbols->token_at[i] = (uint16_t)at;
		t->symbols->token_len[i] = (uint8_t)len;
		at += len + 1;
	}
	t->index = ALIGN8(t->tokens + at);
	return scry_read_phys(t->vm, t->index, index, sizeof(index)) >= 0 &&
	       !memcmp(index, t->symbols->token_at, sizeof(index));
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
		t->symbols->marker = malloc(count * sizeof(t->symbols->marker[0]));
		if (!t->symbols->marker)
			return false;
		memcpy(t->symbols->marker, w + first, count * sizeof(t->symbols->marker[0]));
		t->marker_count = count;
		t->markers = t->tokens - size + first * 4;
		return t->symbols->marker[count - 1] < NAMES_MOST;
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

/* Do n names from p on fill the bytes up to the next multiple of 8, which is left? */
static bool names_end(const uint8_t *p, size_t left, uint32_t n)
{
	size_t head, size;

	for (; n; n--, p += size, left -= size) {
		size = os_name_size(p, left, &head);
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
		t->symbols->names_size = t->markers - t->names;
		t->symbols->count = count[0];
		if (names_end(tail + at, TAIL_MOST - at, t->symbols->count - (t->marker_count - 1) * BLOCK))
			return true;
	}
	return false;
}

static bool find_names(struct tables *t)
{
	size_t step = t->symbols->marker[t->marker_count - 1];
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

/* Copy a table: NULL if that cannot be. */
static void *copy(const struct tables *t, uint64_t gpa, size_t size)
{
	void *to = malloc(size);

	if (to && scry_read_phys(t->vm, gpa, to, size) >= 0)
		return to;
	free(to);
	return NULL;
}

static bool any_negative(const struct os_kallsyms *symbols)
{
	for (uint32_t i = 0; i < symbols->count; i++)
		if (symbols->offset[i] < 0)
			return true;
	return false;
}

/* Offsets and base as they would lie there: they prove themselves by their order. */
static bool try_offsets(struct tables *t, uint64_t offsets, uint64_t base)
{
	struct os_kallsyms *symbols = t->symbols;
	uint64_t last = 0, address;

	if (scry_read_phys(t->vm, base, &symbols->base, 8) < 0 || symbols->base < KERNEL_HALF)
		return false;
	free(symbols->offset);
	symbols->offset = copy(t, offsets, symbols->count * sizeof(symbols->offset[0]));
	if (!symbols->offset)
		return false;
	symbols->has_absolute = any_negative(symbols);
	for (uint32_t i = 0; i < symbols->count; i++, last = address) {
		address = os_kallsyms_address(symbols, i);
		if (address < last)
			return false;
	}
	return true;
}

/* In the newer order, or in the older; and with either the order by name, if it is there. */
static bool read_offsets(struct tables *t)
{
	uint64_t size = ALIGN8(t->symbols->count * sizeof(t->symbols->offset[0]));
	uint64_t behind = t->index + TOKENS * sizeof(uint16_t), order;
	uint64_t order_size = t->symbols->count * UINT64_C(3);

	if (try_offsets(t, behind, behind + size))
		order = behind + size + 8;
	else if (t->names > size + 16 && try_offsets(t, t->names - 16 - size, t->names - 16))
		order = t->markers + ALIGN8(t->marker_count * sizeof(uint32_t));
	else
		return false;
	if (order > t->tokens || order + order_size <= t->tokens)
		t->symbols->order = copy(t, order, order_size);
	return true;
}

/* All names must be there, and each marker where they have come to. */
static bool read_names(struct tables *t)
{
	struct os_kallsyms *symbols = t->symbols;
	size_t at = 0, head, size;

	symbols->names = copy(t, t->names, symbols->names_size);
	if (!symbols->names)
		return false;
	for (uint32_t i = 0; i < symbols->count; i++, at += size) {
		size = os_name_size(symbols->names + at, symbols->names_size - at, &head);
		if (!size || (i % BLOCK == 0 && symbols->marker[i / BLOCK] != at))
			return false;
	}
	return true;
}

int os_kallsyms_read(struct scry_vm *vm, uint64_t gpa, struct os_kallsyms *symbols)
{
	struct tables t = { .vm = vm, .symbols = symbols };

	*symbols = (struct os_kallsyms){ 0 };
	if (find_tokens(&t, gpa) && read_tokens(&t) && find_markers(&t) && find_names(&t) &&
	    read_names(&t) && read_offsets(&t)) {
		symbols->gpa = t.tokens;
		return 0;
	}
	os_kallsyms_free(symbols);
	return SCRY_E_NOTFOUND;
}
