/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/message.h"
#include "../common/parse.h"
#include "../common/stop.h"
#include "../common/target.h"
#include "gdb.h"

#define DEFAULT_HOST "127.0.0.1"
#define DEFAULT_PORT "1234"
#define IDLE_MS      500	/* how often it is looked whether the VM is still there */

/* [HOST:]PORT, [HOST] in brackets if it is of IPv6; both are the caller's buffers. */
static bool split(const char *address, char *host, char *port, size_t size)
{
	const char *colon = strrchr(address, ':');
	size_t len = colon ? (size_t)(colon - address) : 0;
	uint64_t number;

	if (len >= 2 && address[0] == '[' && address[len - 1] == ']') {
		address++;
		len -= 2;
	}
	if (len >= size || strlen(colon ? colon + 1 : address) >= size)
		return false;
	snprintf(host, size, "%.*s", (int)len, address);
	snprintf(port, size, "%s", colon ? colon + 1 : address);
	if (!host[0])
		strcpy(host, DEFAULT_HOST);
	return strspn(port, "0123456789") == strlen(port) && parse_u64(port, &number) &&
	       number <= 65535;
}

static int bind_to(const char *host, const char *port)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
	struct addrinfo *found;
	int why = getaddrinfo(host, port, &hints, &found), fd, on = 1;

	if (why) {
		fail("cannot listen on %s:%s: %s", host, port, gai_strerror(why));
		return -1;
	}
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) < 0 || listen(fd, 1) < 0) {
		fail("cannot listen on %s:%s: %s", host, port, strerror(errno));
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	freeaddrinfo(found);
	return fd;
}

/* 0, or a failure, which is said at the end: nobody could know where it listens. */
static int announce(int fd, const struct gdb_opts *opts)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);
	char host[NI_MAXHOST] = "?", port[NI_MAXSERV] = "?";

	if (!getsockname(fd, (struct sockaddr *)&address, &len))
		getnameinfo((struct sockaddr *)&address, len, host, sizeof(host), port, sizeof(port),
			    NI_NUMERICHOST | NI_NUMERICSERV);
	if (strcmp(host, DEFAULT_HOST) && strcmp(host, "::1"))
		note("whoever reaches %s can read and change VM %s: there is no password", host,
		     opts->uri);
	printf("waiting for gdb on %s:%s: target remote %s:%s\n", host, port, host, port);
	return fflush(stdout) ? EXIT_FAILURE : 0;
}

static void refuse(int fd, const char *why)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	fail("%s", why);
	while (poll(&p, 1, 1000) > 0 && !gdb_refuse(fd, why))
		;
}

/* One client: the VM is opened for it, and goes on when it leaves; *ended if it ended meanwhile. */
static int serve(int listener, int fd, const struct gdb_opts *opts, bool *ended)
{
	struct gdb *g = checked(calloc(1, sizeof(*g)));
	int ret = gdb_begin(g, opts), on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (ret < 0) {
		refuse(fd, g->why);
	} else {
		g->fd = fd;
		g->listener = listener;
		gdb_session(g);
		gdb_end(g);
	}
	*ended = g->vm_ended;
	free(g);
	return ret < 0 ? EXIT_FAILURE : 0;
}

/* Of one that `scry list` had when the server began: is it gone, or another in its place? */
static bool has_gone(const struct gdb_opts *opts, const struct vm_found *began)
{
	struct vm_found now = { 0 };
	int ret = find_vm(opts->uri, &now);

	/* One that does not answer at the moment has no PID, nor has a domain of Xen's. */
	return !ret || (ret > 0 && now.pid && now.pid != began->pid);
}

static int serve_all(int listener, const struct gdb_opts *opts)
{
	struct vm_found vm = { 0 };
	bool listed = find_vm(opts->uri, &vm) > 0, ended = false;
	int ret = 0;

	while (!stop_asked() && !ended) {
		struct pollfd p = { .fd = listener, .events = POLLIN };
		int fd = poll(&p, 1, IDLE_MS) > 0 ? accept4(listener, NULL, NULL, SOCK_CLOEXEC) : -1;

		if (fd < 0) {
			ended = listed && has_gone(opts, &vm);
			continue;
		}
		ret = serve(listener, fd, opts, &ended);
		close(fd);
		if (opts->once)
			break;
	}
	if (ended)
		note("VM %s has ended, and the server with it", opts->uri);
	return opts->once ? ret : 0;
}

int gdb_serve(const struct gdb_opts *opts)
{
	char host[256], port[256];
	struct gdb *g;
	int fd, ret;

	if (!split(opts->listen ? opts->listen : DEFAULT_PORT, host, port, sizeof(host))) {
		fail("'%s' is no address: use PORT, HOST:PORT or [HOST]:PORT", opts->listen);
		return EXIT_USAGE;
	}
	g = checked(calloc(1, sizeof(*g)));
	/* What would fail when gdb comes is better told now. */
	ret = gdb_begin(g, opts);
	if (!ret)
		gdb_end(g);
	else
		fail("%s", g->why);
	free(g);
	if (ret)
		return EXIT_FAILURE;
	stop_on_signals();
	fd = bind_to(host, port);
	if (fd < 0)
		return EXIT_FAILURE;
	ret = announce(fd, opts);
	if (!ret)
		ret = serve_all(fd, opts);
	close(fd);
	return ret;
}
