/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "packet.h"

#define INTERRUPT 0x03
#define ESCAPE    0x20	/* what an escaped byte is XORed with */

char *packet_room(struct packet_reader *r, size_t *room)
{
	memmove(r->bytes, r->bytes + r->used, r->len - r->used);
	r->len -= r->used;
	r->used = 0;
	*room = sizeof(r->bytes) - r->len;
	return r->bytes + r->len;
}

void packet_came(struct packet_reader *r, size_t len)
{
	r->len += len;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* In place: what is behind the '}' comes to its place. */
static size_t unescape(char *data, size_t len)
{
	size_t to = 0;

	for (size_t i = 0; i < len; i++)
		data[to++] = data[i] == '}' && i + 1 < len ? data[++i] ^ ESCAPE : data[i];
	return to;
}

/* Behind a '$'. */
static enum packet_kind take_packet(struct packet_reader *r, char **data, size_t *len)
{
	char *start = r->bytes + r->used, *end = memchr(start, '#', r->len - r->used);
	unsigned char sum = 0;

	if (!end || end + 3 > r->bytes + r->len) {
		if (r->used > 1 || r->len < sizeof(r->bytes)) {
			r->used--;	/* the '$' waits for the rest */
			return PACKET_NONE;
		}
		r->used = r->len;
		return PACKET_BAD;
	}
	for (char *c = start; c < end; c++)
		sum = (unsigned char)(sum + (unsigned char)*c);
	r->used = (size_t)(end + 3 - r->bytes);
	if (digit(end[1]) < 0 || digit(end[2]) < 0 || digit(end[1]) * 16 + digit(end[2]) != sum)
		return PACKET_BAD;
	*len = unescape(start, (size_t)(end - start));
	start[*len] = 0;
	*data = start;
	return PACKET_DATA;
}

enum packet_kind packet_next(struct packet_reader *r, char **data, size_t *len)
{
	while (r->used < r->len) {
		switch (r->bytes[r->used++]) {
		case '$':
			return take_packet(r, data, len);
		case '-':
			return PACKET_AGAIN;
		case INTERRUPT:
			return PACKET_INTERRUPT;
		default:
			break;	/* '+', or noise between packets */
		}
	}
	return PACKET_NONE;
}

static size_t room(const struct packet_out *out)
{
	return sizeof(out->data) - 8 - out->len;
}

void out_text(struct packet_out *out, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(out->data + out->len, room(out), format, ap);
	va_end(ap);
	if (n > 0 && (size_t)n < room(out))
		out->len += (size_t)n;
}

void out_hex(struct packet_out *out, const void *bytes, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *b = bytes;

	for (size_t i = 0; i < len && room(out) >= 2; i++) {
		out->data[out->len++] = digits[b[i] >> 4];
		out->data[out->len++] = digits[b[i] & 15];
	}
}

void out_unknown(struct packet_out *out, size_t len)
{
	for (size_t i = 0; i < 2 * len && room(out); i++)
		out->data[out->len++] = 'x';
}

void out_escaped(struct packet_out *out, const void *bytes, size_t len)
{
	const char *b = bytes;

	for (size_t i = 0; i < len && room(out) >= 2; i++) {
		bool special = b[i] == '$' || b[i] == '#' || b[i] == '}' || b[i] == '*';

		if (special)
			out->data[out->len++] = '}';
		out->data[out->len++] = special ? b[i] ^ ESCAPE : b[i];
	}
}

size_t out_frame(struct packet_out *out)
{
	unsigned char sum = 0;

	for (size_t i = 0; i < out->len; i++)
		sum = (unsigned char)(sum + (unsigned char)out->data[i]);
	memmove(out->data + 1, out->data, out->len);
	out->data[0] = '$';
	snprintf(out->data + 1 + out->len, 4, "#%02x", sum);
	return out->len + 4;
}

bool take_text(const char **text, const char *word)
{
	size_t len = strlen(word);

	if (strncmp(*text, word, len))
		return false;
	*text += len;
	return true;
}

bool take_hex(const char **text, uint64_t *value)
{
	const char *c = *text;

	*value = 0;
	for (; digit(*c) >= 0 && c - *text < 16; c++)
		*value = *value << 4 | (uint64_t)digit(*c);
	if (c == *text || digit(*c) >= 0)
		return false;
	*text = c;
	return true;
}

bool take_bytes(const char *text, void *bytes, size_t len)
{
	unsigned char *b = bytes;

	for (size_t i = 0; i < len; i++, text += 2) {
		if (digit(text[0]) < 0 || digit(text[1]) < 0)
			return false;
		b[i] = (unsigned char)(digit(text[0]) * 16 + digit(text[1]));
	}
	return !*text;
}
