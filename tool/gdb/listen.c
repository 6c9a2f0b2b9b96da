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

#include "../message.h"
#include "../stop.h"
#include "gdb.h"

#define DEFAULT_HOST "127.0.0.1"
#define DEFAULT_PORT "1234"

/* [HOST:]PORT, [HOST] in brackets if it is of IPv6; both are the caller's buffers. */
static bool split(const char *address, char *host, char *port, size_t size)
{
	const char *colon = strrchr(address, ':');
	size_t len = colon ? (size_t)(colon - address) : 0;

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
	return port[0] && strspn(port, "0123456789") == strlen(port) && atoi(port) <= 65535;
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

static void announce(int fd, const struct gdb_opts *opts)
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
	fflush(stdout);
}

/* One client: the VM is opened for it, and goes on when it leaves. */
static int serve(int fd, const struct gdb_opts *opts)
{
	struct gdb *g = checked(calloc(1, sizeof(*g)));
	int ret = gdb_begin(g, opts), on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (!ret) {
		g->fd = fd;
		gdb_session(g);
		gdb_end(g);
	}
	free(g);
	return ret < 0 ? EXIT_FAILURE : 0;
}

static int serve_all(int listener, const struct gdb_opts *opts)
{
	int ret = 0;

	while (!stop_asked()) {
		struct pollfd p = { .fd = listener, .events = POLLIN };
		int fd = poll(&p, 1, 200) > 0 ? accept(listener, NULL, NULL) : -1;

		if (fd < 0)
			continue;
		ret = serve(fd, opts);
		close(fd);
		if (opts->once)
			return ret;
	}
	return 0;
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
	free(g);
	if (ret)
		return EXIT_FAILURE;
	stop_on_signals();
	fd = bind_to(host, port);
	if (fd < 0)
		return EXIT_FAILURE;
	announce(fd, opts);
	ret = serve_all(fd, opts);
	close(fd);
	return ret;
}
