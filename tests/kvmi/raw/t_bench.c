/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* By hand: what an event costs, beside a bare socket with messages of the same lengths. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tool.h"

#define EVENTS 20000u
#define EVENT_BYTES 584u
#define REPLY_BYTES 32u

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int by_size(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void report(const char *what, double *us)
{
	qsort(us, EVENTS, sizeof(*us), by_size);
	printf("ok %s: median %.1f us, 10%% %.1f us, 90%% %.1f us\n", what, us[EVENTS / 2],
	       us[EVENTS / 10], us[EVENTS * 9 / 10]);
}

/* What another process sends back as soon as it can. */
static void echo(int fd)
{
	char bytes[EVENT_BYTES];

	while (recv(fd, bytes, REPLY_BYTES, MSG_WAITALL) == REPLY_BYTES &&
	       send(fd, bytes, EVENT_BYTES, 0) == EVENT_BYTES)
		;
	_exit(0);
}

static int bare(struct tool *t, double *us)
{
	char bytes[EVENT_BYTES] = { 0 };
	int ends[2];
	pid_t child;

	CHECK(t, socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "no sockets");
	child = fork();
	if (child == 0) {
		close(ends[0]);
		echo(ends[1]);
	}
	close(ends[1]);
	for (unsigned i = 0; i < EVENTS; i++) {
		double start = now_us();

		CHECK(t, send(ends[0], bytes, REPLY_BYTES, 0) == REPLY_BYTES &&
		      recv(ends[0], bytes, EVENT_BYTES, MSG_WAITALL) == EVENT_BYTES, "no echo");
		us[i] = now_us() - start;
	}
	close(ends[0]);
	waitpid(child, NULL, 0);
	report("bare socket", us);
	return 0;
}

/* In one piece, as the bare socket's are; the first may be here already. */
static int next_event(struct tool *t, struct message *m)
{
	if (t->events)
		return tool_event(t, KVMI_EVENT_MSR, 0, sizeof(struct kvmi_event_msr), m);
	CHECK(t, recv(t->fd, m, EVENT_BYTES, MSG_WAITALL) == EVENT_BYTES, "the server has hung up");
	return 0;
}

/* From one answer to the next event: the guest does next to nothing between them. */
static int event(struct tool *t)
{
	double *us = calloc(EVENTS, sizeof(*us)), start = 0;
	struct probe_op op = OP(WRMSR, .arg = 0x174, .value = 1, .toggle = 3);
	struct message m;

	DO(bare(t, us));
	EXPECT(t, 0, tool_control(t, 0, KVMI_EVENT_MSR, true));
	EXPECT(t, 0, tool_msr(t, 0, 0x174, true));
	DO(guest_start(t, 0, &op, 1, EVENTS));
	for (unsigned i = 0; i < EVENTS; i++) {
		struct kvmi_event_msr *msr;

		DO(next_event(t, &m));
		if (i)
			us[i - 1] = now_us() - start;
		msr = tool_part(t, &m);
		start = now_us();
		DO(tool_reply_value(t, &m, msr->new_value));
	}
	report("event", us);
	free(us);
	return guest_wait(t, 0, NULL);
}

const struct test tests_bench[] = {
	{ "event-cost", event, true, true },
	{ NULL, NULL, false, false },
};
