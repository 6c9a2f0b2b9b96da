/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "events.h"

/*
 * Not all that Xen puts into the ring is an event of the client's: an instruction is
 * executed once more, or the guest reads a page in which a breakpoint hides.  While
 * no thread of the client's waits for events, this one looks at the ring.
 */

#define NAP_MS 2	/* while the client comes and goes */

/* Has it been in scry_event_wait() since the last look, and is it out of it? */
static bool came_and_went(struct xen_keeper *k, uint64_t *waits)
{
	bool came;

	pthread_mutex_lock(&k->lock);
	came = k->waiting || k->waits != *waits;
	while (k->waiting && !k->end)
		pthread_cond_wait(&k->left, &k->lock);
	*waits = k->waits;
	pthread_mutex_unlock(&k->lock);
	return came;
}

static bool any_ready(struct xen_events *e)
{
	bool ready = false;

	for (unsigned i = 0; i < e->vm->vcpus; i++) {
		pthread_mutex_lock(&e->vcpu[i].lock);
		ready |= e->vcpu[i].ready;
		pthread_mutex_unlock(&e->vcpu[i].lock);
	}
	return ready;
}

static void look(struct xen_events *e)
{
	bool ready;

	xen_drain_port(e);
	pthread_mutex_lock(&e->lock);
	xen_pump(e);
	ready = any_ready(e);
	pthread_mutex_unlock(&e->lock);
	if (ready)
		xen_ring_bell(e);
}

static void *keep(void *opaque)
{
	struct xen_events *e = opaque;
	struct xen_keeper *k = &e->keeper;
	struct pollfd fds[] = { { .fd = k->end_fd, .events = POLLIN },
				{ .fd = e->evtchn, .events = POLLIN } };
	uint64_t waits = 0;
	int n;

	while (!fds[0].revents) {
		bool came = came_and_went(k, &waits);

		n = poll(fds, came ? 1 : 2, came ? NAP_MS : -1);
		/* It may have come meanwhile: then the event is the client's to fetch. */
		if (n > 0 && !came && fds[1].revents && !came_and_went(k, &waits))
			look(e);
		fds[1].revents = 0;
	}
	return NULL;
}

int xen_keeper_start(struct xen_events *e)
{
	struct xen_keeper *k = &e->keeper;
	sigset_t all, before;
	int ret;

	k->end_fd = eventfd(0, EFD_CLOEXEC);
	if (k->end_fd < 0)
		return -errno;
	/* The program's signals are its own threads' business. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	ret = pthread_create(&k->thread, NULL, keep, e);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	k->on = !ret;
	if (ret) {
		close(k->end_fd);
		k->end_fd = -1;
	}
	return -ret;
}

void xen_keeper_stop(struct xen_events *e)
{
	struct xen_keeper *k = &e->keeper;
	const uint64_t one = 1;

	pthread_mutex_lock(&k->lock);
	k->end = true;
	pthread_cond_signal(&k->left);
	pthread_mutex_unlock(&k->lock);
	if (k->on && write(k->end_fd, &one, sizeof(one)) == sizeof(one))
		pthread_join(k->thread, NULL);
	if (k->end_fd >= 0)
		close(k->end_fd);
	k->on = false;
	k->end_fd = -1;
}

void xen_keeper_rests(struct xen_events *e, bool rests)
{
	struct xen_keeper *k = &e->keeper;

	pthread_mutex_lock(&k->lock);
	k->waiting += rests ? 1 : -1u;
	k->waits++;
	if (!k->waiting)
		pthread_cond_signal(&k->left);
	pthread_mutex_unlock(&k->lock);
}
