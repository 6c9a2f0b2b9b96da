/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * scry-bench-kvmi: what the driver for KVMI adds to its socket.  The other end is a
 * process that does nothing but answer.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "tests/kvmi/peer.h"

#define PAGES  512u			/* read in one go: 2 MiB */
#define ROUNDS 2000u
#define EVENT  (sizeof(struct kvmi_header) + sizeof(struct kvmi_v12_event) + \
		sizeof(struct kvmi_v12_common) + sizeof(struct kvmi_event_cr))
#define REPLY  (sizeof(struct kvmi_header) + sizeof(struct kvmi_vcpu) + \
		sizeof(struct kvmi_event_reply) + sizeof(struct kvmi_reply_value))

static const struct kvmi_event_cr cr3 = { .cr = 3, .old_value = 1, .new_value = 2 };

/* Another event with each reply. */
static void again(struct peer *p, unsigned vcpu)
{
	peer_raise_locked(p, vcpu, KVMI_EVENT_CR, &cr3, sizeof(cr3));
}

/* Wait until a tool wants events, and begin. */
static void be_peer(const char *path)
{
	struct peer p = { .answered = again };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	peer_start(&p, KVMI_V12, path);
	for (;;) {
		usleep(1000);
		pthread_mutex_lock(&p.lock);
		if (p.vcpu[0].crs && !p.vcpu[0].waits)
			again(&p, 0);
		pthread_mutex_unlock(&p.lock);
	}
}

/* Echo messages of those sizes. */
static void be_echo(int fd)
{
	char buf[EVENT] = { 0 };

	while (send(fd, buf, EVENT, MSG_NOSIGNAL) == (ssize_t)EVENT &&
	       recv(fd, buf, REPLY, MSG_WAITALL) == (ssize_t)REPLY)
		;
	_exit(0);
}

struct ends {
	struct scry_vm *vm;
	int echo;
	unsigned char *buf;
};

static double pipelined(void *arg)
{
	struct ends *e = arg;
	double start = bench_now();

	if (scry_read_phys(e->vm, 0x200000, e->buf, PAGES * 4096) < 0)
		return bench_fail("%s", scry_errmsg());
	return (bench_now() - start) * 1e9 / PAGES;
}

static double one_by_one(void *arg)
{
	struct ends *e = arg;
	double start = bench_now();

	for (unsigned i = 0; i < PAGES; i++)
		if (scry_read_phys(e->vm, 0x200000 + i * 4096, e->buf, 4096) < 0)
			return bench_fail("%s", scry_errmsg());
	return (bench_now() - start) * 1e9 / PAGES;
}

static double events(void *arg)
{
	struct ends *e = arg;
	struct scry_event event;
	double start = bench_now();

	for (unsigned i = 0; i < ROUNDS; i++)
		if (scry_event_wait(e->vm, &event, 1, -1) != 1 ||
		    scry_reply_action(e->vm, &event, SCRY_CONTINUE) < 0)
			return bench_fail("%s", scry_errmsg());
	return (bench_now() - start) * 1e9 / ROUNDS;
}

static double echoes(void *arg)
{
	struct ends *e = arg;
	char buf[EVENT] = { 0 };
	double start = bench_now();

	for (unsigned i = 0; i < ROUNDS; i++)
		if (recv(e->echo, buf, EVENT, MSG_WAITALL) != (ssize_t)EVENT ||
		    send(e->echo, buf, REPLY, MSG_NOSIGNAL) != (ssize_t)REPLY)
			return bench_fail("the echo has ended");
	return (bench_now() - start) * 1e9 / ROUNDS;
}

static int measure(struct ends *e)
{
	const struct scry_subscription sub = { .sz = sizeof(sub), .kind = SCRY_EVENT_CR_WRITE,
					       .vcpus = 1, .cr = { .cr = 3 } };
	struct bench reads = { .wanted_most = 0.2 }, rounds = { .wanted_most = 1.3 };

	if (bench_pairs(&reads, "kvmi.read4k.pipelined", "ns", pipelined, one_by_one, e) < 0)
		return 1;
	if (scry_subscribe(e->vm, &sub) < 0) {
		bench_fail("%s", scry_errmsg());
		return 1;
	}
	return bench_pairs(&rounds, "kvmi.event.roundtrip", "ns", events, echoes, e) < 0;
}

int main(void)
{
	char dir[] = "/tmp/scry-bench-XXXXXX", path[64], uri[80];
	struct ends e = { .buf = malloc(PAGES * 4096) };
	pid_t peer, echo;
	int pair[2], ret;

	if (!e.buf || !mkdtemp(dir) || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		return 1;
	snprintf(path, sizeof(path), "%s/sock", dir);
	snprintf(uri, sizeof(uri), "kvmi:%s", path);
	peer = fork();
	if (!peer)
		be_peer(path);
	echo = fork();
	if (!echo) {
		close(pair[0]);
		be_echo(pair[1]);
	}
	close(pair[1]);
	e.echo = pair[0];
	if (scry_open(&e.vm, uri, NULL) < 0)
		ret = bench_fail("%s", scry_errmsg());
	else
		ret = measure(&e);
	scry_close(e.vm);
	close(e.echo);
	kill(peer, SIGKILL);
	kill(echo, SIGKILL);
	while (wait(NULL) > 0)
		;
	rmdir(dir);
	free(e.buf);
	return !!ret;
}
