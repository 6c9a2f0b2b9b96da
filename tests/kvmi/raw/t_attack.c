/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tools that come, break off and come again: whatever they leave half done, QEMU has the
 * files open that it had, and the next tool is served.
 */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tool.h"

#define TIMES(t) ((t)->generation == KVMI_V12 ? 1000u : 250u)	/* v7 makes views each time */

static const struct kvmi_answer answer = { .size = sizeof(answer) };

static pid_t peer_of(struct tool *t)
{
	struct ucred peer = { .pid = 0 };
	socklen_t len = sizeof(peer);

	getsockopt(t->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
	return peer.pid;
}

/* How many files QEMU has open. */
static int open_files(struct tool *t)
{
	char path[40];
	int files = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)peer_of(t));
	dir = opendir(path);
	while (dir && readdir(dir))
		files++;
	if (dir)
		closedir(dir);
	return files;
}

/* Those of before, when what goes away has gone. */
static int check_files(struct tool *t, int before)
{
	uint64_t end = now_ms() + WAIT_MS;
	int now;

	while ((now = open_files(t)) != before)
		CHECK(t, now_ms() < end, "QEMU has %d files open, and had %d", now, before);
	return 0;
}

/* Many tools, of which each leaves at another point. */
static int come_and_go(struct tool *t)
{
	int before = open_files(t);

	for (unsigned i = 0; i < TIMES(t); i++) {
		DO(tool_greet(t, &answer, sizeof(answer)));
		if (i % 4 == 0)
			continue;
		if (i % 4 == 1)
			EXPECT(t, 0, tool_pause(t, 0, i % 8 == 1));
		if (i % 4 == 2)
			EXPECT(t, 0, tool_control(t, 0, KVMI_EVENT_MSR, true));
		else
			EXPECT(t, 0, tool_access(t, 0, t->probe.scratch, KVMI_READ));
	}
	DO(tool_accept(t, NULL));
	DO(check_files(t, before));
	return guest_moves(t, 0);
}

static int accept_silently(struct tool *t)
{
	tool_hang_up(t);
	t->fd = accept4(t->listener, NULL, NULL, SOCK_CLOEXEC);
	CHECK(t, t->fd >= 0, "accept: %s", strerror(errno));
	return 0;
}

/* A tool that is gone before the greeting, in the middle of it, and of its answer to it. */
static int greeted_in_part(struct tool *t)
{
	char bytes[sizeof(struct kvmi_handshake)];
	int before = open_files(t);

	for (size_t n = 0; n < t->hello.size; n += 13) {
		DO(accept_silently(t));
		CHECK(t, !n || recv(t->fd, bytes, n, MSG_WAITALL) == (ssize_t)n, "recv: %s",
		      strerror(errno));
		DO(tool_greet(t, &answer, sizeof(answer)));
	}
	for (size_t n = 0; n < sizeof(answer); n++) {
		DO(tool_greet(t, &answer, n));
		DO(tool_greet(t, &answer, sizeof(answer)));
	}
	DO(tool_accept(t, NULL));
	DO(check_files(t, before));
	return guest_moves(t, 0);
}

/* A message of which the rest does not come: nobody waits for it but this tool. */
static int half_a_message(struct tool *t)
{
	const struct kvmi_header ask = { .id = tool_id(t, KVMI_GET_VERSION), .seq = 77 };
	struct probe_op op = OP(WRITE, .size = 8, .arg = t->probe.scratch);
	struct message m;

	DO(guest_start(t, 0, &op, 1, 1000));
	DO(tool_write(t, &ask, 5));
	DO(tool_quiet(t, 200));
	DO(tool_write(t, (const char *)&ask + 5, sizeof(ask) - 5));
	EXPECT(t, 0, tool_wait(t, ask.id, ask.seq, &m));
	DO(guest_wait(t, 0, NULL));
	/* Of the reply to an event, with the vCPU waiting for it. */
	EXPECT(t, 0, tool_pause(t, 0, true));
	DO(tool_event(t, KVMI_EVENT_PAUSE, 0, 0, &m));
	DO(tool_write(t, &(struct kvmi_header){ .id = t->generation == KVMI_V12, .size = 16,
						.seq = m.header.seq }, sizeof(m.header)));
	DO(tool_quiet(t, 200));
	DO(tool_accept(t, NULL));
	return guest_moves(t, 0);
}

/*
 * So few that QEMU, as tests/kvmi/run starts it, has none left; poll() refuses more places than
 * that, and the agent's has 12.
 */
#define FILES_FEW 12

/* QEMU can open no file for a while. */
static int no_files(struct tool *t)
{
	pid_t qemu = peer_of(t);
	struct rlimit limit, few;
	int before = open_files(t);
	bool came;

	CHECK(t, prlimit(qemu, RLIMIT_NOFILE, NULL, &limit) == 0, "prlimit: %s", strerror(errno));
	few = (struct rlimit){ .rlim_cur = FILES_FEW, .rlim_max = limit.rlim_max };
	EXPECT(t, 0, tool_pause(t, 0, false));
	CHECK(t, prlimit(qemu, RLIMIT_NOFILE, &few, NULL) == 0, "prlimit: %s", strerror(errno));
	tool_hang_up(t);
	came = poll(&(struct pollfd){ .fd = t->listener, .events = POLLIN }, 1, 200) > 0;
	CHECK(t, prlimit(qemu, RLIMIT_NOFILE, &limit, NULL) == 0, "prlimit: %s", strerror(errno));
	CHECK(t, !came, "QEMU has a file left to connect with");
	DO(tool_accept(t, NULL));
	DO(check_files(t, before));
	return guest_moves(t, 0);
}

/* Another tool takes the socket's name: QEMU stays with the first, and then goes to the other. */
static int two_tools(struct tool *t)
{
	struct tool other = { .path = t->path, .generation = t->generation, .event = t->event };
	int first = t->listener;

	DO(tool_listen(&other));
	EXPECT(t, 0, tool_call(t, KVMI_GET_VERSION, NULL, 0, NULL));
	close(first);
	t->listener = other.listener;
	tool_hang_up(t);
	DO(tool_accept(t, NULL));
	return guest_moves(t, 0);
}

const struct test tests_attack[] = {
	{ "attack-come-and-go", come_and_go, true, true },
	{ "attack-greeted-in-part", greeted_in_part, true, true },
	{ "attack-half-a-message", half_a_message, true, true },
	{ "attack-no-files", no_files, true, true },
	{ "attack-two-tools", two_tools, true, true },
	{ NULL, NULL, false, false },
};
