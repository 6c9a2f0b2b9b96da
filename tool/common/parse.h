/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_PARSE_H
#define TOOL_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All of these take the whole text or nothing. */

/* Decimal, or hexadecimal behind 0x. */
bool parse_u64(const char *text, uint64_t *value);

/* FIRST-LAST, or one number for both. */
bool parse_range(const char *text, uint64_t *first, uint64_t *last);

/* A number with k, M, G or T (of 1024) behind it if wished. */
bool parse_size(const char *text, uint64_t *value);

/* Seconds with decimals, more than none and at most a month, into milliseconds. */
bool parse_seconds(const char *text, unsigned *ms);

/*
 * Bytes as hex digits, two each; blanks and colons between bytes and one 0x
 * before them are passed over.  Fills at most strlen(text) / 2 bytes.
 */
bool parse_hex_bytes(const char *text, uint8_t *bytes, size_t *count);

/* "640 KiB", "1.5 GiB": with one decimal where it is not whole. */
const char *format_size(char *buf, size_t len, uint64_t bytes);

#endif
