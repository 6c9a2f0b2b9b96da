/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Waiting for what the one client says, and what becomes of those that come meanwhile. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../common/message.h"
#include "gdb.h"

#define ONE_CLIENT "this server has a client already, and serves one at a time"

static void send_refusal(int fd, const char *why)
{
	struct packet_out *out = checked(calloc(1, sizeof(*out)));
	size_t len;

	gdb_error(out, why);
	len = out_frame(out);
	/* If it does not take them there is nobody to be told. */
	if (send(fd, "+", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1)
		send(fd, out->data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	free(out);
}

bool gdb_refuse(int fd, const char *why)
{
	char said[512];
	ssize_t n = recv(fd, said, sizeof(said), MSG_DONTWAIT);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return false;
	/* Its first packet may come behind an acknowledgement. */
	if (n > 0 && !memchr(said, '#', (size_t)n))
		return false;
	if (n > 0)
		send_refusal(fd, why);
	return true;
}

static void close_other(struct gdb *g)
{
	if (g->other >= 0)
		close(g->other);
	g->other = -1;
}

/* The last that came is kept until it has been refused. */
static void take_other(struct gdb *g)
{
	close_other(g);
	g->other = accept4(g->listener, NULL, NULL, SOCK_CLOEXEC);
}

bool gdb_wait(struct gdb *g, int event_fd, int ms)
{
	struct pollfd p[] = {
		{ .fd = g->fd, .events = POLLIN },
		{ .fd = event_fd, .events = POLLIN },
		{ .fd = g->listener, .events = POLLIN },
		{ .fd = g->other, .events = POLLIN },
	};

	if (poll(p, sizeof(p) / sizeof(p[0]), ms) <= 0)
		return false;
	if (p[3].revents && gdb_refuse(g->other, ONE_CLIENT))
		close_other(g);
	if (p[2].revents)
		take_other(g);
	return p[0].revents;
}

void gdb_vm_ended(struct gdb *g)
{
	g->vm_ended = true;
	g->ends = true;
}
