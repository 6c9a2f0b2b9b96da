/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The round trip of an event on Xen, beside that of two processes of this domain that
 * do nothing but ring an event channel for each other.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "event.h"

#include <xen/xen.h>
#include <xen/sys/evtchn.h>

#define RUN_MS     150
#define BATCH      20
#define START_MS   30000

struct bell {
	int fd;
	uint32_t port;
};

struct work {
	struct scry_vm *vm;
	struct bell bell;
	pid_t pid;		/* who answers */
};

static int ring(const struct bell *bell)
{
	struct ioctl_evtchn_notify notify = { .port = bell->port };

	return ioctl(bell->fd, IOCTL_EVTCHN_NOTIFY, &notify);
}

/* And let it ring again. */
static int hear(const struct bell *bell)
{
	uint32_t port;

	return read(bell->fd, &port, sizeof(port)) == sizeof(port) &&
	       write(bell->fd, &port, sizeof(port)) == sizeof(port) ? 0 : -1;
}

static int open_bell(struct bell *bell)
{
	bell->fd = open("/dev/xen/evtchn", O_RDWR | O_CLOEXEC);
	return bell->fd < 0 ? bench_fail("/dev/xen/evtchn: %s", strerror(errno)) : 0;
}

static void answer_for_ever(uint32_t remote)
{
	struct ioctl_evtchn_bind_interdomain bind = { .remote_domain = DOMID_SELF,
						      .remote_port = remote };
	struct bell bell;
	int port = -1;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (open_bell(&bell) == 0)
		port = ioctl(bell.fd, IOCTL_EVTCHN_BIND_INTERDOMAIN, &bind);
	bell.port = (uint32_t)port;
	while (port >= 0 && hear(&bell) == 0)
		if (ring(&bell) < 0)
			break;
	_exit(1);
}

static int begin(struct work *w)
{
	struct ioctl_evtchn_bind_unbound_port bind = { .remote_domain = DOMID_SELF };
	struct pollfd there = { .events = POLLIN };
	int port;

	if (open_bell(&w->bell) < 0)
		return -1;
	port = ioctl(w->bell.fd, IOCTL_EVTCHN_BIND_UNBOUND_PORT, &bind);
	if (port < 0)
		return bench_fail("no event channel: %s", strerror(errno));
	w->bell.port = (uint32_t)port;
	there.fd = w->bell.fd;
	w->pid = fork();
	if (!w->pid)
		answer_for_ever(w->bell.port);
	if (w->pid < 0)
		return bench_fail("cannot start another process");
	/* Who binds to the channel hears it once, and so rings back: it is there. */
	if (poll(&there, 1, START_MS) != 1 || hear(&w->bell) < 0)
		return bench_fail("the other process does not answer");
	return 0;
}

static double ping(const struct work *w)
{
	struct samples samples = { .count = 0 };
	double now = bench_now(), end = now + RUN_MS / 1e3;

	do {
		double start = now;

		for (int i = 0; i < BATCH; i++)
			if (ring(&w->bell) < 0 || hear(&w->bell) < 0)
				return bench_fail("the event channel: %s", strerror(errno));
		now = bench_now();
		samples_add(&samples, (now - start) * 1e9 / BATCH);
	} while (now < end);
	return bench_median(samples.value, samples.count);
}

/* With the guest at rest, so that both sides have a processor as the measured have. */
static double bare(void *arg)
{
	struct work *w = arg;
	double ns;

	if (scry_pause(w->vm) < 0)
		return bench_fail("%s", scry_errmsg());
	ns = ping(w);
	return scry_resume(w->vm) < 0 ? bench_fail("%s", scry_errmsg()) : ns;
}

static double round_trip(void *arg)
{
	const struct work *w = arg;

	return event_round_trip(w->vm, NULL, false);
}

static int measure(const struct bench *b, const char *name, struct work *w)
{
	int refused = event_loop_start(b->vm), ret;

	if (refused < 0)
		return -1;
	ret = bench_pairs(b, name, "ns", round_trip, bare, w);
	return event_loop_stop(b->vm, refused) < 0 ? -1 : ret;
}

int bench_evtchn(const struct bench *b, const char *name)
{
	struct work w = { .vm = b->vm, .bell.fd = -1 };
	int ret = begin(&w);

	if (!ret)
		ret = measure(b, name, &w);
	if (w.pid > 0) {
		kill(w.pid, SIGKILL);
		waitpid(w.pid, NULL, 0);
	}
	if (w.bell.fd >= 0)
		close(w.bell.fd);
	return ret;
}
