/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "gdb.h"

#define PAGE UINT64_C(4096)

struct scry_as *gdb_as(struct gdb *g)
{
	if (g->task_as)
		return g->task_as;
	if (g->as && g->as_vcpu == g->vcpu)
		return g->as;
	gdb_forget_as(g);
	g->as_vcpu = g->vcpu;
	return scry_as_of_vcpu(g->vm, g->vcpu, &g->as) < 0 ? NULL : g->as;
}

void gdb_forget_as(struct gdb *g)
{
	scry_as_free(g->as);
	g->as = NULL;
}

static bool parse_range(const char **range, uint64_t *address, uint64_t *len)
{
	return take_hex(range, address) && take_text(range, ",") && take_hex(range, len);
}

/*
 * What there is of it: GDB takes less than it asked for.  A dump without registers
 * has physical memory only.
 */
static size_t read_some(struct gdb *g, uint64_t address, unsigned char *buf, size_t len)
{
	bool physical = !g->vcpus && !g->task_as;
	struct scry_as *as = physical ? NULL : gdb_as(g);
	size_t done = 0;

	while (done < len && (as || physical)) {
		uint64_t at = address + done, left = PAGE - (at & (PAGE - 1));
		size_t n = len - done < left ? len - done : (size_t)left;

		if ((physical ? scry_read_phys(g->vm, at, buf + done, n) :
				scry_read_virt(as, at, buf + done, n)) < 0)
			break;
		done += n;
		if (address + done < address)
			break;
	}
	return done;
}

void gdb_memory_read(struct gdb *g, const char *range)
{
	static _Thread_local unsigned char buf[PACKET_MOST / 2];
	uint64_t address, len;
	size_t done;

	if (!parse_range(&range, &address, &len) || *range) {
		out_text(&g->out, "E16");
		return;
	}
	if (len > sizeof(buf))
		len = sizeof(buf);
	done = read_some(g, address, buf, len);
	/* To this packet GDB takes no sentence for an error. */
	if (!done && len)
		out_text(&g->out, "E14");
	else
		out_hex(&g->out, buf, done);
}

static void write_all(struct gdb *g, uint64_t address, const void *buf, size_t len)
{
	struct scry_as *as = gdb_as(g);

	if (!as || scry_write_virt(as, address, buf, len) < 0)
		gdb_fail_lib(g);
	else
		out_text(&g->out, "OK");
}

void gdb_memory_write(struct gdb *g, const char *range)
{
	static _Thread_local unsigned char buf[PACKET_MOST / 2];
	uint64_t address, len;

	if (!parse_range(&range, &address, &len) || !take_text(&range, ":") || len > sizeof(buf) ||
	    !take_bytes(range, buf, len))
		gdb_fail(g, "malformed packet M");
	else
		write_all(g, address, buf, len);
}

void gdb_memory_write_binary(struct gdb *g, const char *range, size_t packet_len)
{
	const char *start = range;
	uint64_t address, len;

	if (!parse_range(&range, &address, &len) || !take_text(&range, ":") ||
	    len != packet_len - (size_t)(range - start))
		gdb_fail(g, "malformed packet X");
	else
		write_all(g, address, range, len);
}
