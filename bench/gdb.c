/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * How many hits of a breakpoint a second scry gdb passes on to a client that does nothing
 * but go on; beside the library's own rate, where a hit is an event and its reply.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define SECONDS 0.5
#define WAIT_MS 10000

struct work {
	const char *scry, *uri;
	uint64_t address;
};

static double raw_loop(struct scry_vm *vm)
{
	double began = bench_now(), now;
	struct scry_event event;
	unsigned hits = 0;

	do {
		if (scry_event_wait(vm, &event, 1, WAIT_MS) != 1 ||
		    scry_reply_action(vm, &event, SCRY_CONTINUE) < 0)
			return bench_fail("no hit: %s", scry_errmsg());
		hits++;
		now = bench_now();
	} while (now - began < SECONDS);
	return hits / (now - began);
}

static double raw_rate(void *arg)
{
	const struct work *w = arg;
	struct scry_breakpoint b = { .sz = sizeof(b), .address = w->address };
	struct scry_vm *vm;
	double rate;

	if (scry_open(&vm, w->uri, NULL) < 0)
		return bench_fail("%s", scry_errmsg());
	rate = scry_breakpoint_add(vm, &b) < 0 ? bench_fail("%s", scry_errmsg()) : raw_loop(vm);
	scry_close(vm);
	return rate;
}

/* A server for one client; its port once it waits. */
static pid_t start_server(const struct work *w, unsigned *port)
{
	char line[256] = "";
	const char *colon;
	int out[2];
	FILE *f;
	pid_t pid;

	if (pipe(out) < 0)
		return bench_fail("no pipe");
	pid = fork();
	if (!pid) {
		dup2(out[1], STDOUT_FILENO);
		close(out[0]);
		close(out[1]);
		execl(w->scry, "scry", "gdb", "--once", "--listen", "0", w->uri, (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	f = fdopen(out[0], "r");
	colon = f && fgets(line, sizeof(line), f) ? strrchr(line, ':') : NULL;
	if (f)
		fclose(f);
	if (!colon || sscanf(colon, ":%u", port) != 1)
		return bench_fail("scry gdb does not wait: %s", line);
	return pid;
}

static int connect_to(unsigned port)
{
	const struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0 ?
		bench_fail("cannot connect to scry gdb") : fd;
}

/* Send a packet; with its acknowledgements off nothing but the answer comes. */
static int ask(int fd, const char *packet, char *answer, size_t size)
{
	char framed[128];
	unsigned char sum = 0;
	size_t len = 0;

	for (const char *c = packet; *c; c++)
		sum = (unsigned char)(sum + (unsigned char)*c);
	snprintf(framed, sizeof(framed), "$%s#%02x", packet, sum);
	if (send(fd, framed, strlen(framed), MSG_NOSIGNAL) < 0)
		return bench_fail("scry gdb has hung up");
	while (len < 4 || answer[len - 3] != '#') {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n = poll(&p, 1, WAIT_MS) > 0 && len < size ?
			    recv(fd, answer + len, size - len, 0) : 0;

		if (n <= 0)
			return bench_fail("no answer to %s", packet);
		len += (size_t)n;
	}
	return 0;
}

static double gdb_loop(int fd, uint64_t address)
{
	double began, now;
	char answer[4096], point[64];
	unsigned hits = 0;

	snprintf(point, sizeof(point), "Z0,%llx,1", (unsigned long long)address);
	if (ask(fd, "QStartNoAckMode", answer, sizeof(answer)) < 0 ||
	    send(fd, "+", 1, MSG_NOSIGNAL) < 0 || ask(fd, point, answer, sizeof(answer)) < 0)
		return -1;
	began = bench_now();
	do {
		if (ask(fd, "vCont;c", answer, sizeof(answer)) < 0)
			return -1;
		if (strncmp(answer, "$T05", 4))
			return bench_fail("no hit: %.40s", answer);
		hits++;
		now = bench_now();
	} while (now - began < SECONDS);
	return hits / (now - began);
}

static double gdb_rate(void *arg)
{
	const struct work *w = arg;
	unsigned port;
	pid_t pid = start_server(w, &port);
	int fd = pid < 0 ? -1 : connect_to(port);
	double rate = fd < 0 ? -1 : gdb_loop(fd, w->address);

	if (fd >= 0)
		close(fd);
	else if (pid > 0)
		kill(pid, SIGTERM);	/* it would wait for its client for ever */
	if (pid > 0 && waitpid(pid, NULL, 0) < 0)
		return -1;
	return rate;
}

int main(int argc, char **argv)
{
	struct bench b = { .json = argc > 1 && !strcmp(argv[1], "--json") };
	struct work w;

	argv += b.json;
	if (argc - b.json != 4) {
		fprintf(stderr, "usage: scry-bench-gdb [--json] SCRY URI ADDRESS\n\n"
			"Hits a second of a breakpoint that is hit all the time, by the scry that SCRY names.\n");
		return 2;
	}
	w = (struct work){ argv[1], argv[2], strtoull(argv[3], NULL, 0) };
	return bench_pairs(&b, "gdb.rate", "/s", gdb_rate, raw_rate, &w) < 0;
}
