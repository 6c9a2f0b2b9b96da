/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_TEXT_H
#define SCRY_TEXT_H

#include <stddef.h>

/* The length of the printable UTF-8 character at p, of which so many bytes are there, or 0. */
static inline size_t scry_text_character(const unsigned char *p, size_t left)
{
	size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 :
		   p[0] < 0xf5 ? 4 : 0;

	if (n == 1)
		return p[0] >= 0x20 && p[0] != 0x7f;
	if (n > left)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	/* Too long forms, surrogates, what is past the last, and control characters. */
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] >= 0xa0) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] >= 0x90) ||
	    (p[0] == 0xc2 && p[1] < 0xa0))
		return 0;
	return n;
}

#endif
