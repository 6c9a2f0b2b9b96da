/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * scry-bench-kvmi: what KVMI costs beyond its socket.  The driver's end: the other is a
 * process that does nothing but answer.  The agent's end, with the socket that a QEMU
 * looks for a tool at: ours is a tool that does nothing but read.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvmi_echo.h"
#include "kvmi_server.h"
#include "processor.h"
#include "tests/kvmi/peer.h"

#define PAGES  512u			/* read in one go: 2 MiB */
#define ROUNDS 2000u

static const struct kvmi_event_cr cr3 = { .cr = 3, .old_value = 1, .new_value = 2 };

/* Another event with each reply. */
static void again(struct peer *p, unsigned vcpu)
{
	peer_raise_locked(p, vcpu, KVMI_EVENT_CR, &cr3, sizeof(cr3));
}

/* Wait until a tool wants events, and begin. */
static void be_peer(const char *path, bool gathers)
{
	struct peer p = { .answered = again, .gathers = gathers };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (processor_stay(0, true) < 0)
		_exit(1);
	peer_start(&p, KVMI_V12, path);
	/* The first; the others come with the replies. */
	for (bool begun = false; !begun;) {
		usleep(1000);
		pthread_mutex_lock(&p.lock);
		begun = p.vcpu[0].crs;
		if (begun) {
			p.gathers = false;
			again(&p, 0);
		}
		pthread_mutex_unlock(&p.lock);
	}
	for (;;)
		pause();
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
	return echo_ns(((struct ends *)arg)->echo, ROUNDS);
}

/* Where answers of commands that came together come together, and where each comes by itself. */
static int measure_reads(const struct bench *b, struct ends *e, bool gathers)
{
	struct bench reads = *b;

	reads.wanted_most = gathers ? 0.2 : 0;
	return bench_pairs(&reads, gathers ? "kvmi.read4k.pipelined" : "kvmi.read4k.singly", "ns",
			   pipelined, one_by_one, e);
}

static int measure_events(const struct bench *b, struct ends *e)
{
	const struct scry_subscription sub = { .sz = sizeof(sub), .kind = SCRY_EVENT_CR_WRITE,
					       .vcpus = 1, .cr = { .cr = 3 } };
	struct bench rounds = *b;

	rounds.wanted_most = 1.3;
	if (scry_subscribe(e->vm, &sub) < 0)
		return bench_fail("%s", scry_errmsg());
	return bench_pairs(&rounds, "kvmi.event.roundtrip", "ns", events, echoes, e);
}

static int bench_driver(const struct bench *b, bool gathers)
{
	char dir[] = "/tmp/scry-bench-XXXXXX", path[64], uri[80];
	struct ends e = { .buf = malloc(PAGES * 4096) };
	pid_t peer;
	int ret;

	if (!e.buf || !mkdtemp(dir))
		return bench_fail("no memory or folder to be had");
	snprintf(path, sizeof(path), "%s/sock", dir);
	snprintf(uri, sizeof(uri), "kvmi:%s", path);
	peer = fork();
	if (!peer)
		be_peer(path, gathers);
	e.echo = echo_start();
	if (peer < 0 || processor_stay(0, false) < 0)
		ret = -1;
	else if (scry_open(&e.vm, uri, NULL) < 0)
		ret = bench_fail("%s", scry_errmsg());
	else
		ret = e.echo < 0 ? -1 : measure_reads(b, &e, gathers);
	if (!ret && gathers)
		ret = measure_events(b, &e);
	scry_close(e.vm);
	close(e.echo);
	kill(peer, SIGKILL);
	while (wait(NULL) > 0)
		;
	rmdir(dir);
	free(e.buf);
	return ret;
}

int main(int argc, char **argv)
{
	struct bench b = { .json = argc > 1 && !strcmp(argv[1], "--json") };
	int first = b.json ? 2 : 1;

	if (argc - first > 1 || (argc > first && argv[first][0] == '-')) {
		fputs("usage: scry-bench-kvmi [--json] [SOCKET]\n", stderr);
		return 2;
	}
	if (argc > first)
		return bench_kvmi_server(&b, argv[first]) < 0;
	return bench_driver(&b, true) < 0 || bench_driver(&b, false) < 0;
}
