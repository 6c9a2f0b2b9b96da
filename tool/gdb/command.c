/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "gdb.h"

void gdb_error(struct packet_out *out, const char *text)
{
	out->len = 0;
	out_text(out, "E.");
	for (; *text; text++)
		out_text(out, "%c", *text < ' ' || *text > '~' || strchr("$#}*", *text) ? '?' : *text);
}

void gdb_fail(struct gdb *g, const char *format, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	gdb_error(&g->out, text);
}

void gdb_fail_lib(struct gdb *g)
{
	gdb_fail(g, "%s", scry_errmsg());
}

/* A thread's number: vCPU n is n + 1; -1 (all) and 0 (any) leave *vcpu as it is. */
static bool take_thread(struct gdb *g, const char **text, unsigned *vcpu, bool *all)
{
	uint64_t n;

	*all = take_text(text, "-1");
	if (*all)
		return true;
	if (!take_hex(text, &n) || n > g->vcpus)
		return false;
	if (n)
		*vcpu = (unsigned)n - 1;
	return true;
}

static void select_thread(struct gdb *g, const char *text)
{
	bool all;

	if (!*text || !take_thread(g, &(const char *){ text + 1 }, &g->vcpu, &all))
		gdb_fail(g, "there is no such thread");
	else
		out_text(&g->out, "OK");
}

/* One of vCont's actions, "s:1" say. */
static bool take_action(struct gdb *g, const char **text, enum go *go, uint64_t *chosen)
{
	enum go how = **text == 's' || **text == 'S' ? GO_STEP : GO_ON;
	unsigned vcpu = UINT32_MAX;
	uint64_t signal;
	bool all = true, with_signal = **text == 'C' || **text == 'S';

	if (!**text || !strchr("cCsS", **text))
		return false;
	++*text;
	/* A guest has no signals to be given. */
	if (with_signal && !take_hex(text, &signal))
		return false;
	if (take_text(text, ":") && !take_thread(g, text, &vcpu, &all))
		return false;
	if (vcpu == UINT32_MAX)
		all = true;
	for (unsigned i = 0; i < g->vcpus; i++) {
		if ((!all && i != vcpu) || *chosen >> i & 1)
			continue;
		go[i] = how;
		*chosen |= UINT64_C(1) << i;
	}
	return true;
}

/* Does the client want to go on where nothing can? */
static bool can_run(struct gdb *g)
{
	const char *reason;

	if (g->stops)
		return true;
	scry_cap(g->vm, SCRY_CAP_PAUSE, &reason);
	gdb_fail(g, "%s", reason);
	return false;
}

static bool go_on(struct gdb *g, const char *actions)
{
	enum go go[GDB_VCPUS] = { GO_STAY };
	uint64_t chosen = 0;

	if (!can_run(g))
		return true;
	do {
		if (!take_action(g, &actions, go, &chosen)) {
			gdb_fail(g, "malformed packet vCont");
			return true;
		}
	} while (take_text(&actions, ";"));
	return gdb_run(g, go);
}

/* The older packets c and s: step is of the vCPU that was selected. */
static bool go_on_simply(struct gdb *g, bool step)
{
	enum go go[GDB_VCPUS];

	if (!can_run(g))
		return true;
	for (unsigned i = 0; i < g->vcpus; i++)
		go[i] = !step ? GO_ON : i == g->vcpu ? GO_STEP : GO_STAY;
	return gdb_run(g, go);
}

static void supported(struct gdb *g, const char *theirs)
{
	g->swbreak = strstr(theirs, "swbreak+");
	g->hwbreak = strstr(theirs, "hwbreak+");
	out_text(&g->out, "PacketSize=%x;qXfer:features:read+;QStartNoAckMode+;vContSupported+;"
		 "swbreak+;hwbreak+", PACKET_MOST);
}

static void thread_list(struct gdb *g)
{
	for (unsigned i = 0; i < g->vcpus; i++)
		out_text(&g->out, "%s%x", i ? "," : "m", i + 1);
	if (!g->vcpus)
		out_text(&g->out, "m1");
}

/* "vCPU 0, CPL 3", and who runs there, in hex. */
static void thread_info(struct gdb *g, const char *number)
{
	struct scry_regs regs;
	char text[96];
	unsigned vcpu = 0;
	bool all;
	int n;

	if (!take_thread(g, &number, &vcpu, &all)) {
		gdb_fail(g, "there is no such thread");
		return;
	}
	n = snprintf(text, sizeof(text), "vCPU %u", vcpu);
	if (scry_regs_get(g->vm, vcpu, &regs) == 0)
		n += snprintf(text + n, sizeof(text) - (size_t)n, ", CPL %u",
			      regs.seg[SCRY_REG_SS - SCRY_REG_ES].attr >> 5 & 3);
	out_hex(&g->out, text, (size_t)n);
}

static void query(struct gdb *g, const char *text)
{
	if (take_text(&text, "Supported"))
		supported(g, text);
	else if (take_text(&text, "Xfer:features:read:target.xml:"))
		gdb_describe(g, text);
	else if (take_text(&text, "fThreadInfo"))
		thread_list(g);
	else if (take_text(&text, "sThreadInfo"))
		out_text(&g->out, "l");
	else if (take_text(&text, "ThreadExtraInfo,"))
		thread_info(g, text);
	else if (take_text(&text, "Attached"))
		out_text(&g->out, "1");
	else if (!strcmp(text, "C"))
		out_text(&g->out, "QC%x", g->vcpu + 1);
	else if (take_text(&text, "Rcmd,"))
		gdb_monitor(g, text);
	else if (take_text(&text, "Symbol::"))
		out_text(&g->out, "OK");
}

static bool vee(struct gdb *g, const char *text)
{
	if (!strcmp(text, "Cont?")) {
		out_text(&g->out, "vCont;c;C;s;S");
	} else if (take_text(&text, "Cont;")) {
		return go_on(g, text);
	} else if (take_text(&text, "Kill")) {
		/* The guest is not ours to kill. */
		out_text(&g->out, "OK");
		g->ends = true;
	}
	return true;
}

static void is_alive(struct gdb *g, const char *number)
{
	unsigned vcpu = 0;
	bool all;

	if (take_thread(g, &number, &vcpu, &all))
		out_text(&g->out, "OK");
	else
		gdb_fail(g, "there is no such thread");
}

static void set_mode(struct gdb *g, const char *text)
{
	if (strcmp(text, "StartNoAckMode"))
		return;
	out_text(&g->out, "OK");
	g->no_ack = true;
}

static void leave(struct gdb *g)
{
	out_text(&g->out, "OK");
	g->ends = true;
}

bool gdb_command(struct gdb *g, const char *data, size_t len)
{
	const char *more = data + (len > 0);

	g->out.len = 0;
	switch (len ? data[0] : 0) {
	case '?': gdb_tell_stop(g); break;
	case 'g': gdb_regs_get(g); break;
	case 'G': gdb_regs_set(g, more); break;
	case 'p': gdb_reg_get(g, more); break;
	case 'P': gdb_reg_set(g, more); break;
	case 'm': gdb_memory_read(g, more); break;
	case 'M': gdb_memory_write(g, more); break;
	case 'X': gdb_memory_write_binary(g, more, len - 1); break;
	case 'Z': gdb_point(g, more, true); break;
	case 'z': gdb_point(g, more, false); break;
	case 'H': select_thread(g, more); break;
	case 'T': is_alive(g, more); break;
	case 'q': query(g, more); break;
	case 'Q': set_mode(g, more); break;
	case 'v': return vee(g, more);
	case 'c': return go_on_simply(g, false);
	case 's': return go_on_simply(g, true);
	case 'D': leave(g); break;
	case 'k': g->ends = true; return false;
	default: break;		/* empty: not known here */
	}
	return true;
}
