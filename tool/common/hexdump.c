/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>

#include "hexdump.h"
#include "term.h"

static void print_line(uint64_t address, const uint8_t *bytes, size_t len)
{
	/* 16 bytes, a blank behind every second, and the end. */
	char hex[16 * 2 + 8 + 1], text[17], *h = hex;
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < 16; i++) {
		*h++ = i < len ? digits[bytes[i] >> 4] : ' ';
		*h++ = i < len ? digits[bytes[i] & 15] : ' ';
		if (i % 2)
			*h++ = ' ';
		text[i] = i < len && bytes[i] >= 0x20 && bytes[i] < 0x7f ? (char)bytes[i] : '.';
	}
	*h = 0;
	text[len] = 0;
	printf("%s%016" PRIx64 "%s: %s %s\n", colour(CYAN), address, colour(PLAIN), hex, text);
}

void hexdump(uint64_t address, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i += 16)
		print_line(address + i, bytes + i, len - i < 16 ? len - i : 16);
}
