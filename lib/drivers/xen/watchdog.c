/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../vm.h"
#include "claim.h"
#include "ring.h"
#include "undo.h"
#include "watchdog.h"

/* How often it looks whether the domain is still there, and answers come. */
#define TICK_MS 250

/* The longest until it has done what it is asked for. */
#define HEAR_MS 10000

/* What it is asked for on its socket; a hang-up is the end. */
enum { ASK_MAP = 'm', ASK_END = 'e' };

struct ask {
	uint8_t what;
	uint64_t gfn;
};

/* All that the child has. */
struct watch {
	struct xen_hyper hyper;
	struct xen_shared *shared;
	void *page;			/* the ring's, or NULL */
	int socket, claim;		/* of the parent; the domain's lock, held */
	int parent;			/* a pidfd */
	bool was_down;			/* the domain had shut down before */
	uint64_t unread_since_ns;	/* requests that the parent does not even take; 0 = none */
	RING_IDX unread_at;		/* the first of them */
};

/* Whatever the parent has open is not ours to hold. */
static void close_others(int one, int other)
{
	unsigned low = (unsigned)(one < other ? one : other), high = (unsigned)(one ^ other) ^ low;

	if (low)
		syscall(SYS_close_range, 0u, low - 1, 0u);
	if (high - low > 1)
		syscall(SYS_close_range, low + 1, high - 1, 0u);
	syscall(SYS_close_range, high + 1, ~0u, 0u);
}

static void map_ring(struct watch *w, uint64_t gfn)
{
	void *page = mmap(NULL, XEN_PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int ret = page == MAP_FAILED ? -ENOMEM : xen_hyper_map(&w->hyper, gfn, page);

	if (!ret && w->page)
		munmap(w->page, XEN_PAGE_SIZE);	/* of one that failed half-way */
	if (!ret)
		w->page = page;
	else if (page != MAP_FAILED)
		munmap(page, XEN_PAGE_SIZE);
	send(w->socket, &ret, sizeof(ret), MSG_NOSIGNAL);
}

/* Serve one request; false at the end. */
static bool serve(struct watch *w)
{
	struct ask ask;
	ssize_t n = recv(w->socket, &ask, sizeof(ask), 0);

	if (n != sizeof(ask) || ask.what != ASK_MAP)
		return n < 0 && errno == EINTR;
	map_ring(w, ask.gfn);
	return true;
}

/* Since when a vCPU waits for its answer; 0 if it does not. */
static uint64_t waits_since(struct watch *w, unsigned vcpu)
{
	const struct xen_waiting *v = &w->shared->vcpu[vcpu];

	return atomic_load(&v->waits) ? v->since_ns : 0;
}

static uint64_t unread_since(struct watch *w, uint64_t now)
{
	if (!xen_ring_unread(w->shared, w->page))
		w->unread_since_ns = 0;
	else if (!w->unread_since_ns || w->unread_at != w->shared->ring.req_cons)
		w->unread_since_ns = now;
	w->unread_at = w->shared->ring.req_cons;
	return w->unread_since_ns;
}

/* 1 + the vCPU whose answer is late, or 0.  While the domain is paused none is. */
static uint32_t who_is_late(struct watch *w)
{
	struct xen_shared *s = w->shared;
	uint64_t limit = s->reply_timeout_ms * UINT64_C(1000000), now = xen_now_ns(), since;

	if (!s->ring_on || !w->page || !limit)
		return 0;
	since = unread_since(w, now);
	if (since && now - since > limit)
		return 1;
	for (unsigned i = 0; i < s->vcpus; i++) {
		since = waits_since(w, i);
		if (since && since < now && now - since > limit)
			return i + 1;
	}
	return 0;
}

/* A pause stops the clocks of those that wait. */
static void hold_clocks(struct watch *w, uint64_t since)
{
	uint64_t gone = xen_now_ns() - since;

	if (!w->shared->pauses)
		return;
	for (unsigned i = 0; i < w->shared->vcpus; i++)
		w->shared->vcpu[i].since_ns += gone;
	if (w->unread_since_ns)
		w->unread_since_ns += gone;
}

/* The parent lives: it may be about to answer, or be stopped in the middle of it. */
static void take_over(struct xen_shared *s)
{
	const struct timespec moment = { .tv_nsec = 1000000 };

	for (int i = 0; i < 100 && atomic_exchange(&s->lock, 1); i++)
		nanosleep(&moment, NULL);
	s->lock = 1;
}

static int tick_ms(const struct xen_shared *s)
{
	uint32_t limit = s->reply_timeout_ms;

	return limit && limit / 4 < TICK_MS ? (int)(limit / 4 + 1) : TICK_MS;
}

/* A domain that has shut down is one to look into only for who opened it so. */
static bool has_ended(struct watch *w)
{
	return w->was_down ? xen_domain_gone(&w->hyper) : xen_domain_down(&w->hyper);
}

/* Until the end: the parent's, the domain's, or that of its patience. */
static void watch(struct watch *w)
{
	struct pollfd fds[] = { { .fd = w->socket, .events = POLLIN },
				{ .fd = w->parent, .events = POLLIN } };

	for (;;) {
		uint64_t since = xen_now_ns();
		int n = poll(fds, 2, tick_ms(w->shared));

		if (n > 0 && fds[1].revents)
			return;
		if (n > 0 && fds[0].revents && !serve(w))
			return;
		hold_clocks(w, since);
		if (has_ended(w)) {
			w->shared->gone = 1;
			return;
		}
		w->shared->late = who_is_late(w);
		if (w->shared->late) {
			take_over(w->shared);
			return;
		}
	}
}

static _Noreturn void child(struct watch *w, unsigned domid, pid_t parent)
{
	int ready;

	close_others(w->socket, w->claim);
	if (chdir("/") < 0)
		_exit(1);
	setsid();
	prctl(PR_SET_NAME, "scry-watchdog");
	w->parent = (int)syscall(SYS_pidfd_open, parent, 0u);
	ready = xen_hyper_open(&w->hyper, domid);
	w->was_down = ready >= 0 && xen_domain_down(&w->hyper);
	if (getppid() != parent)
		_exit(1);
	send(w->socket, &ready, sizeof(ready), MSG_NOSIGNAL);
	if (ready < 0)
		_exit(1);
	watch(w);
	xen_undo(&w->hyper, w->shared, w->page);
	_exit(0);
}

/*
 * Not fork(): no handler of the program's runs, in it or in the child, and it
 * gets no SIGCHLD.  With every signal blocked the child keeps none of its handlers.
 */
static pid_t make_child(struct watch *w, unsigned domid)
{
	sigset_t all, before;
	pid_t parent = getpid(), pid;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = (pid_t)syscall(SYS_clone, 0ul, NULL, NULL, NULL, 0ul);
	if (!pid)
		child(w, domid, parent);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return pid;
}

/* The child's word: 0 or -errno.  It may have been stopped. */
static int hear(int socket)
{
	struct pollfd fd = { .fd = socket, .events = POLLIN };
	int word = 0;

	if (poll(&fd, 1, HEAR_MS) == 0)
		return -ETIMEDOUT;
	return recv(socket, &word, sizeof(word), MSG_WAITALL) == sizeof(word) ? word : -ESRCH;
}

static struct xen_shared *make_shared(unsigned vcpus, uint32_t reply_timeout_ms)
{
	struct xen_shared *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
				    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (s == MAP_FAILED)
		return NULL;
	s->vcpus = vcpus;
	s->reply_timeout_ms = reply_timeout_ms;
	return s;
}

void xen_watchdog_forget(struct xen_watchdog *w)
{
	if (w->socket >= 0)
		close(w->socket);
	if (w->shared)
		munmap(w->shared, sizeof(*w->shared));
	*w = (struct xen_watchdog){ .socket = -1 };
}

static int begin(struct xen_watchdog *w, unsigned domid, int claimed)
{
	struct watch watch = { .shared = w->shared, .claim = claimed };
	int pair[2], ret;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	watch.socket = pair[1];
	w->socket = pair[0];
	w->pid = make_child(&watch, domid);
	ret = w->pid < 0 ? -errno : 0;
	close(pair[1]);
	return ret < 0 ? ret : hear(w->socket);
}

static int start_failed(unsigned domid, int error)
{
	if (error == -EPROTO)
		return scry_fail(SCRY_E_VERSION, "this Xen speaks another version of its control "
				 "interface than scry: Xen 4.15 and later are known");
	return scry_fail(SCRY_E_IO, "cannot start the watchdog of domain %u: %s", domid,
			 strerror(-error));
}

int xen_watchdog_start(struct xen_watchdog *w, unsigned domid, unsigned vcpus,
		       uint32_t reply_timeout_ms)
{
	int claimed = xen_claim_after_death(domid), ret;

	*w = (struct xen_watchdog){ .socket = -1 };
	if (claimed < 0)
		return xen_claim_failed(domid, claimed);
	w->shared = make_shared(vcpus, reply_timeout_ms);
	ret = w->shared ? begin(w, domid, claimed) : -ENOMEM;
	close(claimed);
	if (!ret)
		return 0;
	xen_watchdog_stop(w, 1000);
	xen_watchdog_forget(w);
	return start_failed(domid, ret);
}

int xen_watchdog_map(struct xen_watchdog *w, uint64_t gfn)
{
	struct ask ask = { .what = ASK_MAP, .gfn = gfn };

	if (send(w->socket, &ask, sizeof(ask), MSG_NOSIGNAL) < 0)
		return -errno;
	return hear(w->socket);
}

bool xen_watchdog_gone(const struct xen_watchdog *w)
{
	struct pollfd fd = { .fd = w->socket };

	return poll(&fd, 1, 0) > 0 && !w->shared->late && !w->shared->gone;
}

bool xen_watchdog_stop(struct xen_watchdog *w, int timeout_ms)
{
	struct ask ask = { .what = ASK_END };
	struct pollfd fd = { .fd = w->socket };
	int status = 0;

	if (w->pid <= 0)
		return true;
	send(w->socket, &ask, sizeof(ask), MSG_NOSIGNAL);
	kill(w->pid, SIGCONT);	/* somebody may have stopped it */
	/* Its end hangs up; if that takes longer it goes on by itself. */
	if (poll(&fd, 1, timeout_ms) > 0)
		while (waitpid(w->pid, &status, __WALL) < 0 && errno == EINTR)
			;
	return WIFEXITED(status);
}
