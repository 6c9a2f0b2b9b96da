/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "events.h"
#include "halt.h"

/*
 * Xen tells nobody when a domain gives a page back or gets one, and a mapping keeps
 * showing the page that was there.  So a thread looks at the domain's count of pages
 * and steps `life` when it is another one: then the map is made anew.  So it does when
 * a page that is mapped here has gone, which does not change the count.  What comes back
 * comes without its traps: so all are set again then, or when one is seen to be lost.
 */

#define PERIOD_MS 20
#define REST_MS   2	/* while a vCPU rests */
#define SHARE     50	/* of the time, for each of what is looked at in turn */

/* What is mapped, a part in turn, and no more often than the time for that allows. */
static bool has_vanished(struct xen_vm *x)
{
	uint64_t start = xen_now_ns();
	bool any;

	if (start < x->vanish_due_ns)
		return false;
	any = xen_any_vanished(x, &x->vanish_turn);
	x->vanish_due_ns = start + SHARE * (xen_now_ns() - start);
	return any;
}

static bool has_lost(struct xen_vm *x)
{
	uint64_t start = xen_now_ns();
	bool any;

	if (start < x->lost_due_ns)
		return false;
	any = xen_any_trap_lost(x->events, &x->lost_turn);
	/* It may be another page. */
	if (any)
		xen_life_step(x);
	x->lost_due_ns = start + SHARE * (xen_now_ns() - start);
	return any;
}

static void trap_again(struct xen_vm *x)
{
	uint64_t start = xen_now_ns();

	x->again |= has_lost(x);
	if (!x->again || start < x->again_due_ns)
		return;
	x->again = !xen_views_again(x->events);
	x->again_due_ns = start + SHARE * (xen_now_ns() - start);
}

/* Time for the next look?  False at the end. */
static bool next_look(struct xen_vm *x)
{
	struct pollfd end = { .fd = x->watch_end, .events = POLLIN };
	int left = PERIOD_MS;

	while (left > 0) {
		int ms = xen_halt_rests(x->events) ? REST_MS : left;

		if (poll(&end, 1, ms) > 0)
			return false;
		xen_halt_look(x->events);
		left -= ms;
	}
	return true;
}

static void *watch(void *opaque)
{
	struct xen_vm *x = opaque;
	struct xen_domain domain;
	uint64_t pages = UINT64_MAX;

	while (next_look(x)) {
		int ret = xen_domain_next(&x->host, x->domid, &domain);

		if (x->watchdog.shared->late || ret == 0 || (ret > 0 && (domain.id != x->domid ||
					     domain.flags & XEN_DOMINF_dying))) {
			xen_life_end(x);
			return NULL;
		}
		if (ret > 0 && domain.pages != pages) {
			if (pages != UINT64_MAX)
				xen_life_step(x);
			x->again = pages != UINT64_MAX;
			pages = domain.pages;
		} else if (has_vanished(x)) {
			xen_life_step(x);
		}
		trap_again(x);
	}
	return NULL;
}

int xen_watch_start(struct xen_vm *x)
{
	sigset_t all, before;
	int ret;

	x->watch_end = eventfd(0, EFD_CLOEXEC);
	if (x->watch_end < 0)
		return scry_fail(SCRY_E_NOMEM, "cannot make an eventfd: %s", strerror(errno));
	/* The program's signals are its own threads' business. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	ret = pthread_create(&x->watcher, NULL, watch, x);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (ret)
		return scry_fail(SCRY_E_NOMEM, "cannot start a thread: %s", strerror(ret));
	x->watching = true;
	return 0;
}

void xen_watch_stop(struct xen_vm *x)
{
	const uint64_t one = 1;

	if (x->watching && write(x->watch_end, &one, sizeof(one)) == sizeof(one))
		pthread_join(x->watcher, NULL);
	if (x->watch_end >= 0)
		close(x->watch_end);
	x->watching = false;
}
