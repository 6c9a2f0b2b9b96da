/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"

/* A number at the beginning of text; *end is behind it. */
static bool parse_prefix(const char *text, uint64_t *value, const char **end)
{
	int base = text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 16 : 10;
	const char *digits = base == 16 ? text + 2 : text;
	unsigned long long number;
	char *stop;

	/* strtoull() alone would take blanks and signs. */
	if (base == 16 ? !isxdigit((unsigned char)*digits) : !isdigit((unsigned char)*digits))
		return false;
	errno = 0;
	number = strtoull(digits, &stop, base);
	if (errno)
		return false;
	*value = number;
	*end = stop;
	return true;
}

bool parse_u64(const char *text, uint64_t *value)
{
	const char *end;
	uint64_t number;

	if (!parse_prefix(text, &number, &end) || *end)
		return false;
	*value = number;
	return true;
}

static bool suffix_shift(const char *suffix, unsigned *shift)
{
	static const char letters[] = "kmgt";
	const char *found;

	*shift = 0;
	if (!suffix[0])
		return true;
	found = strchr(letters, tolower((unsigned char)suffix[0]));
	if (!found || suffix[1])
		return false;
	*shift = 10 * (unsigned)(found - letters + 1);
	return true;
}

bool parse_range(const char *text, uint64_t *first, uint64_t *last)
{
	const char *dash = strchr(text, '-');
	size_t len = dash ? (size_t)(dash - text) : strlen(text);
	char number[24];

	if (len >= sizeof(number))
		return false;
	memcpy(number, text, len);
	number[len] = '\0';
	return parse_u64(number, first) && parse_u64(dash ? dash + 1 : number, last) &&
	       *first <= *last;
}

bool parse_size(const char *text, uint64_t *value)
{
	const char *end;
	uint64_t number;
	unsigned shift;

	if (!parse_prefix(text, &number, &end) || !suffix_shift(end, &shift))
		return false;
	if (number > UINT64_MAX >> shift)
		return false;
	*value = number << shift;
	return true;
}

bool parse_seconds(const char *text, unsigned *ms)
{
	char *end;
	double seconds;

	if (!isdigit((unsigned char)text[0]) || strspn(text, "0123456789.") != strlen(text))
		return false;
	seconds = strtod(text, &end);
	if (*end || seconds < 0.001 || seconds > 31 * 86400.0)
		return false;
	*ms = (unsigned)(seconds * 1000 + 0.5);
	return true;
}

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *found = c ? strchr(digits, tolower((unsigned char)c)) : NULL;

	return found ? (int)(found - digits) : -1;
}

bool parse_hex_bytes(const char *text, uint8_t *bytes, size_t *count)
{
	size_t n = 0;

	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
		text += 2;
	while (*text) {
		int high, low;

		if (isspace((unsigned char)*text) || *text == ':') {
			text++;
			continue;
		}
		high = hex_digit(text[0]);
		low = high < 0 ? -1 : hex_digit(text[1]);
		if (low < 0)
			return false;
		bytes[n++] = (uint8_t)(high << 4 | low);
		text += 2;
	}
	*count = n;
	return n > 0;
}

const char *format_size(char *buf, size_t len, uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	unsigned unit = 0;

	while (unit < 6 && bytes >> (10 * (unit + 1)))
		unit++;
	if (bytes & ((UINT64_C(1) << (10 * unit)) - 1))
		snprintf(buf, len, "%.1f %s", (double)bytes / (double)(UINT64_C(1) << (10 * unit)),
			 units[unit]);
	else
		snprintf(buf, len, "%" PRIu64 " %s", bytes >> (10 * unit), units[unit]);
	return buf;
}
