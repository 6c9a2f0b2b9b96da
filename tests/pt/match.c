/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "match.h"

static int differ(struct match *m, uint64_t ip, const char *what)
{
	snprintf(m->why, sizeof(m->why), "%s: instruction %" PRIu64 " at 0x%" PRIx64 "; the log's block "
		 "%" PRIu64 " of %" PRIu64 " begins at 0x%" PRIx64, what, m->insns, ip, m->at, m->count,
		 m->at < m->count ? m->entry[m->at].pc : 0);
	return 1;
}

static void consume(struct match *m, const struct path_item *item)
{
	m->ip[m->ips++] = item->ip;
	m->next = item->ip + item->size;
	m->interrupted = false;
	m->insns++;
}

/* The block was left inside: what of its instructions belongs to the next one? */
static bool is_inside(struct match *m, uint64_t pc)
{
	for (unsigned i = 0; i < m->ips; i++) {
		if (m->ip[i] != pc)
			continue;
		m->ips -= i;
		memmove(m->ip, m->ip + i, m->ips * sizeof(m->ip[0]));
		return true;
	}
	return false;
}

/* Does the instruction continue the block, or those after it in the log? */
static int step(struct match *m, const struct path_item *item)
{
	for (; m->at < m->count; m->at++) {
		const struct log_entry *e = &m->entry[m->at];

		if (m->ips < e->insns && (m->ips ? item->ip == m->next : item->ip == e->pc)) {
			if (m->ips == sizeof(m->ip) / sizeof(m->ip[0]))
				return differ(m, item->ip, "a block of too many instructions");
			consume(m, item);
			return 0;
		}
		if (m->at + 1 == m->count)
			break;
		/* A loop begins at an instruction of the block before as well. */
		if ((m->ips != e->insns || e[1].pc != item->ip) && is_inside(m, e[1].pc))
			continue;
		/* At its end; or an exception stopped it, maybe at its first instruction. */
		if (m->ips != e->insns && !m->interrupted)
			return differ(m, item->ip, "a block that was left without a reason");
		m->ips = 0;
		if (e[1].pc != item->ip && !(m->interrupted && e[1].pc == m->from))
			return differ(m, item->ip, "another way");
	}
	return m->count == LOG_MOST ? -1 : differ(m, item->ip, "more than the log has");
}

/* Both began with the VM at rest, so that they begin with the same block. */
static int begin(struct match *m, const struct path_item *item)
{
	if (m->began)
		return differ(m, item->ip, "tracing began twice");
	m->began = true;
	return m->count && m->entry[0].pc == item->ip ? 0 : differ(m, item->ip, "another beginning");
}

/*
 * The last blocks may have been left at their first instructions, by an exception and by
 * the end; or begin inside the one before, at an instruction that QEMU tried again alone.
 */
bool match_complete(struct match *m)
{
	for (uint64_t i = m->at + 1; i < m->count && m->count != LOG_MOST; i++) {
		uint64_t pc = m->entry[i].pc;

		if (pc != m->end && !(m->interrupted && pc == m->from) && !is_inside(m, pc))
			return false;
	}
	return true;
}

int match_item(const struct path_item *item, void *match)
{
	struct match *m = match;

	switch (item->kind) {
	case PATH_ENABLED:
		return begin(m, item);
	case PATH_INTERRUPT:
		m->interrupted = true;
		m->from = item->ip;
		m->interrupts++;
		return 0;
	case PATH_LOST:
		m->lost++;
		return 0;
	case PATH_ERROR:
		m->errors++;
		snprintf(m->why, sizeof(m->why), "cannot be decoded at byte %" PRIu64 ": %s",
			 item->offset, item->why);
		return 1;
	case PATH_DISABLED:
		m->end = item->ip;
		return 0;
	case PATH_INSN:
		return step(m, item);
	default:
		return 0;
	}
}
