/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kvmi_echo.h"
#include "kvmi_server.h"
#include "processor.h"
#include "tests/kvmi/raw/tool.h"

#define ROUNDS 2000u
#define READS  512u
#define WINDOW 64u	/* read commands under way at most */

#define MSR 0x174

struct ends {
	struct tool tool;
	int echo;
	char buf[WINDOW * KVMI_MESSAGE_MOST];
};

/* In one piece, as the echo's are; the first may be here already. */
static int next_event(struct tool *t, struct message *m)
{
	if (t->events)
		return tool_event(t, KVMI_EVENT_MSR, 0, sizeof(struct kvmi_event_msr), m);
	CHECK(t, recv(t->fd, m, ECHO_EVENT, MSG_WAITALL) == (ssize_t)ECHO_EVENT,
	      "the server has hung up");
	return 0;
}

/* The guest does next to nothing between its events. */
static int run_events(struct tool *t, double *ns)
{
	const struct probe_op op = OP(WRMSR, .arg = MSR, .value = 1, .toggle = 3);
	struct message m;
	double start = 0;

	DO(guest_start(t, 0, &op, 1, ROUNDS));
	for (unsigned i = 0; i < ROUNDS; i++) {
		const struct kvmi_event_msr *msr;

		DO(next_event(t, &m));
		if (!i)
			start = bench_now();
		else if (i == ROUNDS - 1)
			*ns = (bench_now() - start) * 1e9 / i;
		msr = tool_part(t, &m);
		DO(tool_reply_value(t, &m, msr->new_value));
	}
	return guest_wait(t, 0, NULL);
}

static double events(void *arg)
{
	struct ends *e = arg;
	double ns;

	return run_events(&e->tool, &ns) < 0 ? bench_fail("%s", e->tool.why) : ns;
}

/* The probe, which is never idle, stands meanwhile: it has the processor of the echo. */
static int run_echoes(struct ends *e, double *ns)
{
	struct tool *t = &e->tool;
	struct message m;

	EXPECT(t, 0, tool_pause(t, 0, true));
	DO(tool_event(t, KVMI_EVENT_PAUSE, 0, 0, &m));
	*ns = echo_ns(e->echo, ROUNDS);
	return tool_reply(t, &m, KVMI_CONTINUE, NULL, 0);
}

static double echoes(void *arg)
{
	struct ends *e = arg;
	double ns;

	return run_echoes(e, &ns) < 0 ? bench_fail("%s", e->tool.why) : ns;
}

/* READS pages read, with that many commands under way at most. */
static double reads(struct ends *e, unsigned window)
{
	const size_t reply = sizeof(struct kvmi_header) + sizeof(struct kvmi_status) + KVMI_PAGE;
	struct {
		struct kvmi_header header;
		struct kvmi_physical read;
	} command[READS];
	size_t sent = 0, have = 0;
	double start;

	for (unsigned i = 0; i < READS; i++) {
		command[i].header = (struct kvmi_header){ .size = sizeof(command[i].read), .seq = i,
					.id = tool_id(&e->tool, KVMI_READ_PHYSICAL) };
		command[i].read = (struct kvmi_physical){ .gpa = 0x200000 + i * KVMI_PAGE,
							  .size = KVMI_PAGE };
	}
	start = bench_now();
	while (have < READS * reply) {
		size_t more = have / reply + window - sent;
		ssize_t n;

		more = more < READS - sent ? more : READS - sent;
		/* Few at a time cost a system call each. */
		if (more && (more >= window / 2 || sent + more == READS)) {
			if (tool_write(&e->tool, &command[sent], more * sizeof(command[0])) < 0)
				return bench_fail("%s", e->tool.why);
			sent += more;
		}
		n = recv(e->tool.fd, e->buf, sizeof(e->buf), 0);
		if (n <= 0)
			return bench_fail("the server has hung up");
		have += (size_t)n;
	}
	return (bench_now() - start) * 1e9 / READS;
}

static double pipelined(void *arg)
{
	return reads(arg, WINDOW);
}

static double one_by_one(void *arg)
{
	return reads(arg, 1);
}

static int keep_apart(struct tool *t)
{
	struct ucred peer = { .pid = 0 };
	socklen_t len = sizeof(peer);

	getsockopt(t->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
	return processor_stay(peer.pid, true) < 0 ? -1 : processor_stay(0, false);
}

static int connect_tool(struct tool *t, const char *path)
{
	t->path = path;
	t->generation = KVMI_V12;
	t->event = calloc(EVENTS_MOST, sizeof(*t->event));
	CHECK(t, t->event, "out of memory");
	DO(tool_listen(t));
	DO(tool_accept(t, NULL));
	EXPECT(t, 0, tool_control(t, 0, KVMI_EVENT_MSR, true));
	EXPECT(t, 0, tool_msr(t, 0, MSR, true));
	CHECK(t, keep_apart(t) == 0, "QEMU and this process cannot be kept apart");
	return 0;
}

int bench_kvmi_server(const struct bench *b, const char *path)
{
	struct bench rounds = *b, pages = *b;
	struct ends *e = calloc(1, sizeof(*e));
	int ret = -1;

	if (!e)
		return bench_fail("out of memory");
	e->echo = echo_start();
	rounds.wanted_most = 1.3;
	pages.wanted_most = 0.2;
	if (e->echo >= 0 && connect_tool(&e->tool, path) < 0)
		bench_fail("%s", e->tool.why);
	else if (e->echo >= 0)
		ret = bench_pairs(&pages, "kvmi.server.read4k", "ns", pipelined, one_by_one, e) < 0 ||
		      bench_pairs(&rounds, "kvmi.server.event", "ns", events, echoes, e) < 0 ? -1 : 0;
	tool_hang_up(&e->tool);
	unlink(path);
	close(e->echo);
	free(e->tool.event);
	free(e);
	return ret;
}
