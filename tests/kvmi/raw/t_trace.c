/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a v12 kernel and its tester said to each other, once more: the tester's bytes go to
 * the server, which is to answer with the kernel's ids, numbers, lengths and errors, in the
 * kernel's order.  Addresses, registers and events are the probe's own.
 */
#include <stdlib.h>
#include <string.h>

#include "../golden.h"
#include "tool.h"

#define MESSAGES   256
#define TRACE_PAGE 0xff000u	/* that the tester used */
#define CR4_PGE    0x80

static bool begins(const struct golden *g, const char *words)
{
	return strncmp(g->text, words, strlen(words)) == 0;
}

static struct kvmi_header header_of(const struct golden *g)
{
	struct kvmi_header header;

	memcpy(&header, g->bytes, sizeof(header));
	return header;
}

static int error_of(const struct golden *reply)
{
	struct kvmi_status status;

	memcpy(&status, reply->bytes + sizeof(struct kvmi_header), sizeof(status));
	return -status.err;
}

/* The guest does what the kernel told of, unless it is doing it already. */
static int provoke(struct tool *t, const struct golden *event, const struct golden *before)
{
	struct probe_op list[2] = { OP(SGDT), OP(LGDT) };
	unsigned count = 1;

	if (begins(event, "event HYPERCALL"))
		list[0] = OP(VMMCALL, .arg = KVMI_HYPERCALL, .value = KVMI_HYPERCALL_EVENT);
	else if (begins(event, "event CR"))
		list[0] = OP(CR4, .value = t->probe.cr4 ^ CR4_PGE);
	else if (begins(event, "event MSR"))
		list[0] = OP(WRMSR, .arg = 0x174, .value = 1);
	else if (begins(event, "event PF"))
		list[0] = OP(WRITE, .size = 8, .arg = t->probe.scratch, .value = 1);
	else if (begins(event, "event DESCRIPTOR") && !begins(before, "answer"))
		count = 2;
	else
		return 0;
	DO(guest_wait(t, 0, NULL));
	return guest_start(t, 0, list, count, 1);
}

static int see_event(struct tool *t, const struct golden *event, struct message *m)
{
	struct kvmi_header header = header_of(event);
	const struct kvmi_v12_event *expected = (const void *)(event->bytes + sizeof(header));
	const struct kvmi_v12_event *got = (const void *)m->payload;

	if (t->events) {
		*m = t->event[0];
		memmove(t->event, t->event + 1, --t->events * sizeof(*m));
	} else {
		DO(tool_read(t, m));
	}
	/* The kernel's first event was UNHOOK, for which a machine has to stop. */
	CHECK(t, m->header.id == header.id && m->header.size == header.size &&
	      m->header.seq == header.seq - 1 && got->event == expected->event,
	      "%.60s: event %u, number %u, %u bytes", event->text, got->event, m->header.seq,
	      m->header.size);
	return 0;
}

/* The tester's bytes, with the addresses and registers of this guest. */
static void adapt(struct tool *t, const struct golden *g, struct message *m, struct message *event)
{
	const uint64_t page = TRACE_PAGE, scratch = t->probe.scratch;
	const struct kvmi_event_cr *part = tool_part(t, event);

	m->header = header_of(g);
	memcpy(m->payload, g->bytes + sizeof(m->header), g->len - sizeof(m->header));
	for (size_t at = 0; at + 8 <= m->header.size && at <= 8; at += 8)
		if (memcmp(m->payload + at, &page, sizeof(page)) == 0)
			memcpy(m->payload + at, &scratch, sizeof(scratch));
	if (begins(g, "command SET_REGISTERS"))
		memcpy(m->payload + sizeof(struct kvmi_vcpu), &tool_arch(t, event)->gprs,
		       sizeof(struct kvmi_gprs));
	if (begins(g, "answer")) {
		m->header.seq = event->header.seq;
		if (m->header.size > 16)	/* CR, MSR: it stays as it was */
			memcpy(m->payload + 16, &part->old_value, sizeof(part->old_value));
	}
}

/* What the kernel refused as its user had just forbidden it; what AMD's cannot do. */
static bool is_left_out(const struct golden *g, const struct golden *next)
{
	return begins(g, "event UNHOOK") || begins(g, "command CONTROL_SINGLESTEP") ||
	       (begins(g, "command") && begins(next, "reply") && error_of(next) == KVMI_EPERM);
}

static int see_reply(struct tool *t, const struct golden *g)
{
	struct kvmi_header header = header_of(g);
	struct message m;

	EXPECT(t, error_of(g), tool_wait(t, header.id, header.seq, &m));
	CHECK(t, m.header.size == header.size, "%.60s: %u bytes", g->text, m.header.size);
	return 0;
}

static int replay(struct tool *t, const struct golden *g, unsigned count)
{
	static struct message event, m;
	unsigned sent = 0;

	for (unsigned i = 0; i < count; i++) {
		if (is_left_out(&g[i], &g[i + 1])) {
			i += begins(&g[i], "command");
			continue;
		}
		if (begins(&g[i], "event")) {
			DO(provoke(t, &g[i], &g[i - 1]));
			DO(see_event(t, &g[i], &event));
		} else if (begins(&g[i], "reply")) {
			DO(see_reply(t, &g[i]));
		} else {
			adapt(t, &g[i], &m, &event);
			DO(tool_write(t, &m, sizeof(m.header) + m.header.size));
			sent++;
		}
	}
	CHECK(t, sent > 70, "only %u messages were sent", sent);
	return guest_wait(t, 0, NULL);
}

static int trace(struct tool *t)
{
	struct golden *g = calloc(MESSAGES + 1, sizeof(*g));
	FILE *f = fopen(KVMI_GOLDEN, "r");
	unsigned count = 0;
	int status = -1;

	if (!g || !f)
		fail(t, "cannot read %s", KVMI_GOLDEN);
	while (g && f && count < MESSAGES && (status = golden_next(f, &g[count])) == 1)
		count++;
	if (status == 0)
		status = replay(t, g, count);
	else if (!t->why[0])
		fail(t, "message %u of %s is not one", count, KVMI_GOLDEN);
	if (f)
		fclose(f);
	free(g);
	return status == 0 ? 0 : -1;
}

const struct test tests_trace[] = {
	{ "trace", trace, false, true },
	{ NULL, NULL, false, false },
};
