/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Whatever a client of scry gdb sends: packets are taken apart and carried out, over a
 * dump, which cannot go on.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/dump/make.h"
#include "tool/gdb/gdb.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static struct gdb *gdb_of_dump(void)
{
	const struct gdb_opts opts = { .uri = "file:/proc/self/fd/99" };
	struct gdb *g = calloc(1, sizeof(*g));
	struct bytes dump = make_elf64(1);

	if (!g || dup2(make_file(&dump), 99) < 0 || gdb_begin(g, &opts) < 0)
		abort();
	free(dump.data);
	return g;
}

/* The same bytes as one packet's contents: a fuzzer does not guess check sums. */
static void as_contents(struct gdb *g, const unsigned char *data, size_t size)
{
	static char packet[PACKET_MOST + 1];

	if (size > PACKET_MOST)
		return;
	for (size_t i = 0; i < size; i++)
		packet[i] = (char)data[i];
	packet[size] = 0;
	if (gdb_command(g, packet, size) && !gdb_send(g))
		abort();
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	static struct gdb *g;
	enum packet_kind kind;
	char *packet;
	size_t len, room;

	if (!g)
		g = gdb_of_dump();
	as_contents(g, data, size);
	g->in.len = g->in.used = 0;
	while (size) {
		char *to = packet_room(&g->in, &room);
		size_t n = size < room ? size : room;

		if (!room)
			abort();	/* a packet that is too long must not stop all */
		for (size_t i = 0; i < n; i++)
			to[i] = (char)data[i];
		packet_came(&g->in, n);
		data += n;
		size -= n;
		while ((kind = packet_next(&g->in, &packet, &len)) != PACKET_NONE)
			if (kind == PACKET_DATA && gdb_command(g, packet, len) && !gdb_send(g))
				abort();
	}
	return 0;
}
