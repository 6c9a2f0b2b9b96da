/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "tool.h"

int fail(struct tool *t, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(t->why, sizeof(t->why), format, args);
	va_end(args);
	return -1;
}

uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int tool_listen(struct tool *t)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", t->path);
	unlink(t->path);
	t->fd = -1;
	t->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(t, t->listener >= 0 && bind(t->listener, (struct sockaddr *)&address,
					  sizeof(address)) == 0 && listen(t->listener, 4) == 0,
	      "cannot listen at %s: %s", t->path, strerror(errno));
	return 0;
}

/* 1 = there is something to read, or the end; 0 = not in time. */
static int readable(int fd, unsigned ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, (int)ms) > 0;
}

/* 1, or 0 at the end. */
static int read_all(struct tool *t, void *to, size_t size)
{
	uint8_t *at = to;

	while (size) {
		ssize_t n;

		CHECK(t, readable(t->fd, WAIT_MS), "nothing comes from the server");
		n = recv(t->fd, at, size, 0);
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return 0;
		CHECK(t, n > 0, "recv: %s", strerror(errno));
		at += n;
		size -= (size_t)n;
	}
	return 1;
}

static int read_or_fail(struct tool *t, void *to, size_t size)
{
	int got = read_all(t, to, size);

	CHECK(t, got, "the server has hung up");
	return got < 0 ? -1 : 0;
}

int tool_greet(struct tool *t, const void *answer, size_t size)
{
	uint32_t expected = t->generation == KVMI_V12 ? KVMI_HANDSHAKE_V12 : KVMI_HANDSHAKE_V7;

	tool_hang_up(t);
	CHECK(t, readable(t->listener, WAIT_MS), "QEMU does not connect");
	t->fd = accept4(t->listener, NULL, NULL, SOCK_CLOEXEC);
	CHECK(t, t->fd >= 0, "accept: %s", strerror(errno));
	t->hello = (struct kvmi_handshake){ 0 };
	DO(read_or_fail(t, &t->hello, sizeof(t->hello.size)));
	CHECK(t, t->hello.size == expected, "a handshake of %u bytes, not %u", t->hello.size,
	      expected);
	DO(read_or_fail(t, (uint8_t *)&t->hello + sizeof(t->hello.size),
			expected - sizeof(t->hello.size)));
	return answer ? tool_write(t, answer, size) : 0;
}

static int know_probe(struct tool *t, uint64_t end)
{
	const struct kvmi_info_reply *info;
	struct message m;

	EXPECT(t, 0, tool_call(t, KVMI_GET_INFO, NULL, 0, &m));
	info = tool_data(&m, sizeof(*info));
	CHECK(t, info, "GET_INFO answers %u bytes", m.header.size);
	t->vcpus = info->vcpus;
	do {
		CHECK(t, now_ms() < end, "the probe does not come up");
		DO(tool_peek(t, PROBE_GPA, &t->probe, sizeof(t->probe)));
	} while (t->probe.magic != PROBE_MAGIC);
	return 0;
}

int tool_accept(struct tool *t, const uint8_t *cookie)
{
	struct kvmi_answer answer = { .size = sizeof(answer) };
	uint64_t end = now_ms() + 2 * WAIT_MS;
	bool was_up = t->probe.magic == PROBE_MAGIC;

	if (cookie)
		memcpy(answer.cookie, cookie, sizeof(answer.cookie));
	for (;;) {
		DO(tool_greet(t, &answer, sizeof(answer)));
		if (know_probe(t, end) == 0)
			return 0;
		/* The firmware resets the machine once more before it starts the guest. */
		if (was_up || now_ms() >= end)
			return -1;
	}
}

void tool_hang_up(struct tool *t)
{
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
	t->events = 0;
}

int tool_closed(struct tool *t)
{
	uint64_t end = now_ms() + WAIT_MS;
	char bytes[4096];
	int got;

	do {
		CHECK(t, now_ms() < end, "the server does not hang up");
		got = readable(t->fd, WAIT_MS) ? (int)recv(t->fd, bytes, sizeof(bytes), 0) : 1;
	} while (got > 0);
	tool_hang_up(t);
	return 0;
}

int tool_write(struct tool *t, const void *bytes, size_t size)
{
	CHECK(t, send(t->fd, bytes, size, MSG_NOSIGNAL) == (ssize_t)size, "send: %s",
	      strerror(errno));
	return 0;
}

int tool_send(struct tool *t, uint16_t id, uint32_t seq, const void *payload, size_t size)
{
	struct message m = { .header = { .id = id, .size = (uint16_t)size, .seq = seq } };

	if (size)
		memcpy(m.payload, payload, size);
	return tool_write(t, &m, sizeof(m.header) + size);
}

int tool_read(struct tool *t, struct message *m)
{
	DO(read_or_fail(t, &m->header, sizeof(m->header)));
	CHECK(t, m->header.size <= sizeof(m->payload), "a message of %u bytes", m->header.size);
	return read_or_fail(t, m->payload, m->header.size);
}

bool tool_is_event(const struct tool *t, const struct message *m)
{
	if (t->generation == KVMI_V7)
		return m->header.id == KVMI_V7_EVENT;
	return m->header.id == KVMI_V12_VM_EVENT || m->header.id == KVMI_V12_VCPU_EVENT;
}

int tool_quiet(struct tool *t, unsigned ms)
{
	CHECK(t, !t->events, "an event came that was not to");
	CHECK(t, !readable(t->fd, ms), "something came that was not to");
	return 0;
}
