/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_GDB_PACKET_H
#define TOOL_GDB_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The framing of GDB's remote protocol.  What comes in is hostile. */

#define PACKET_MOST 0x10000	/* bytes of a packet's contents, either way */

/* What came, and is not used up. */
struct packet_reader {
	size_t len, used;
	char bytes[PACKET_MOST + 8];
};

enum packet_kind {
	PACKET_NONE,		/* nothing that is complete */
	PACKET_DATA,
	PACKET_BAD,		/* its check sum is wrong, or it is too long */
	PACKET_AGAIN,		/* '-': what was sent last is to be sent again */
	PACKET_INTERRUPT,	/* Ctrl-C */
};

/* Where to receive to, and how much; then tell how much came. */
char *packet_room(struct packet_reader *r, size_t *room);
void packet_came(struct packet_reader *r, size_t len);

/*
 * The next thing that came.  Data are unescaped, end in a 0 that does not count, and
 * are good until the next call.
 */
enum packet_kind packet_next(struct packet_reader *r, char **data, size_t *len);

/* Contents of a packet that are put together. */
struct packet_out {
	size_t len;
	char data[2 * PACKET_MOST + 8];	/* with its frame, once it is sent */
};

void out_text(struct packet_out *out, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void out_hex(struct packet_out *out, const void *bytes, size_t len);
void out_escaped(struct packet_out *out, const void *bytes, size_t len);	/* binary */
void out_unknown(struct packet_out *out, size_t len);	/* len bytes that are not known */
/* Frame it, in place: how many bytes are to be sent from data. */
size_t out_frame(struct packet_out *out);

/* Take what is at *text, if it is that; *text is behind it then. */
bool take_text(const char **text, const char *word);
bool take_hex(const char **text, uint64_t *value);
/* Exactly len bytes in hex, to the text's end. */
bool take_bytes(const char *text, void *bytes, size_t len);

#endif
