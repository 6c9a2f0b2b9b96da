/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "events.h"

#include <xen/sys/evtchn.h>

#define EVTCHN "/dev/xen/evtchn"

int xen_events_ended(struct xen_events *e)
{
	const struct xen_shared *s = e->watchdog->shared;

	if (s->gone)
		return scry_fail(SCRY_E_GONE, "VM %s has ended", e->vm->name);
	/* Whoever saw that is not to read on. */
	if (s->late)
		xen_life_end(xen_of(e->vm));
	if (s->late)
		return scry_fail(SCRY_E_TIMEOUT, "VM %s has gone on without this client, which did not "
				 "reply to an event of vCPU %u within %u ms: open it again",
				 e->vm->name, s->late - 1, e->vm->reply_timeout_ms);
	if (e->orphan)
		return scry_fail(SCRY_E_GONE, "the watchdog of VM %s, process %d, has been ended: open "
				 "the VM again", e->vm->name, (int)e->watchdog->pid);
	return 0;
}

/*
 * In turn with the watchdog, by the ring's lock: once that has undone what is noted, nobody
 * would undo more.
 */
int xen_hold(struct xen_events *e)
{
	struct xen_shared *s = e->watchdog->shared;
	int ret;

	/* Nobody would undo it. */
	if (xen_watchdog_gone(e->watchdog))
		e->orphan = true;
	ret = xen_events_ended(e);
	if (ret < 0)
		return ret;
	if (!xen_shared_lock(s))
		return xen_events_ended(e);
	/* Noted first: one too few undone would leave the domain standing. */
	atomic_fetch_add(&s->pauses, 1);
	ret = xen_hyper_domctl_plain(&e->hyper, XEN_DOMCTL_pausedomain);
	if (ret)
		atomic_fetch_sub(&s->pauses, 1);
	xen_shared_unlock(s);
	if (!ret)
		return 0;
	return scry_fail(ret == -ESRCH ? SCRY_E_GONE : SCRY_E_IO, "Xen cannot pause VM %s: %s",
			 e->vm->name, strerror(-ret));
}

int xen_let_go(struct xen_events *e)
{
	struct xen_shared *s = e->watchdog->shared;
	int ret;

	/* It is undone already, and a pause that there is, another's. */
	if (s->late || s->gone || !xen_shared_lock(s))
		return xen_events_ended(e);
	ret = xen_hyper_domctl_plain(&e->hyper, XEN_DOMCTL_unpausedomain);
	atomic_fetch_sub(&s->pauses, 1);
	xen_shared_unlock(s);
	return ret ? scry_fail(ret == -ESRCH ? SCRY_E_GONE : SCRY_E_IO, "Xen cannot let VM %s go "
			       "on: %s", e->vm->name, strerror(-ret)) : 0;
}

void xen_ring_bell(struct xen_events *e)
{
	const uint64_t one = 1;

	if (write(e->bell, &one, sizeof(one)) < 0)
		return;		/* it rings already */
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

static int poll_for(struct xen_events *e, int fd, uint32_t events, uint32_t what)
{
	struct epoll_event event = { .events = events, .data.u32 = what };

	return epoll_ctl(e->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* The frame that Xen and the tools have agreed on, or, if they have not, one of ours. */
static int ring_gfn(struct xen_events *e, uint64_t *gfn)
{
	uint64_t frame;
	int ret = xen_hyper_param_get(&e->hyper, HVM_PARAM_MONITOR_RING_PFN, gfn);

	if (ret || *gfn)
		return ret;
	ret = xen_frame_get(e, false, &frame);
	if (ret)
		return ret;
	*gfn = xen_frame_gfn(e, frame);
	e->watchdog->shared->ring_is_own = 1;
	return xen_hyper_param_set(&e->hyper, HVM_PARAM_MONITOR_RING_PFN, *gfn);
}

/* Mapped here and by the watchdog, before the guest loses it. */
static int map_ring(struct xen_events *e, uint64_t gfn)
{
	void *page = mmap(NULL, XEN_PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int ret = page == MAP_FAILED ? -ENOMEM : 0;

	/* It is there after the domain was built, and not after another client. */
	if (!ret && xen_hyper_map(&e->hyper, gfn, page) < 0) {
		ret = xen_hyper_frame(&e->hyper, XENMEM_populate_physmap, gfn);
		if (!ret)
			ret = xen_hyper_map(&e->hyper, gfn, page);
	}
	if (!ret)
		ret = xen_watchdog_map(e->watchdog, gfn);
	if (ret) {
		if (page != MAP_FAILED)
			munmap(page, XEN_PAGE_SIZE);
		return ret;
	}
	e->page = page;
	return 0;
}

static int ring_op(struct xen_events *e, uint32_t what, uint32_t *port)
{
	struct xen_domctl op = { .cmd = XEN_DOMCTL_vm_event_op };
	int ret;

	op.u.vm_event_op.op = what;
	op.u.vm_event_op.mode = XEN_DOMCTL_VM_EVENT_OP_MONITOR;
	ret = xen_hyper_domctl(&e->hyper, &op);
	if (port)
		*port = op.u.vm_event_op.u.enable.port;
	return ret;
}

/* Denial is obeyed only if Xen is told to hold writes back. */
static int hold_writes(struct xen_events *e)
{
	struct xen_domctl op = { .cmd = XEN_DOMCTL_monitor_op };

	op.u.monitor_op.op = XEN_DOMCTL_MONITOR_OP_CONTROL_REGISTERS;
	return xen_hyper_domctl(&e->hyper, &op);
}

static int bind_port(struct xen_events *e, uint32_t remote)
{
	struct ioctl_evtchn_bind_interdomain bind = { .remote_domain = e->hyper.domid,
						      .remote_port = remote };
	int port;

	e->evtchn = open(EVTCHN, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (e->evtchn < 0)
		return -errno;
	port = ioctl(e->evtchn, IOCTL_EVTCHN_BIND_INTERDOMAIN, &bind);
	if (port < 0)
		return -errno;
	e->port = (uint32_t)port;
	return poll_for(e, e->evtchn, EPOLLIN, 0);
}

/* Noted before it is done: a ring that nobody reads stops the domain. */
static int enable_ring(struct xen_events *e, uint32_t *port)
{
	struct xen_shared *s = e->watchdog->shared;
	int ret;

	memset(e->page, 0, XEN_PAGE_SIZE);
	s->ring = (struct xen_ring_state){ 0 };
	for (unsigned i = 0; i < s->vcpus; i++)
		s->vcpu[i].answer = 0;
	s->ring_on = 1;
	ret = ring_op(e, XEN_VM_EVENT_ENABLE, port);
	if (ret)
		s->ring_on = 0;
	return ret;
}

/*
 * A ring that is taken, and by no client of ours that lives: whoever had it may have
 * died.  Only the user can know.
 */
static bool may_take_over(void)
{
	const char *may = getenv("SCRY_XEN_TAKEOVER");

	return may && !strcmp(may, "1");
}

/* Its vCPUs may wait for an answer that never came. */
static int free_waiting(struct xen_events *e)
{
	struct xen_shared *s = e->watchdog->shared;
	int ret = 0;

	for (unsigned i = 0; !ret && i < s->vcpus; i++) {
		const vm_event_request_t request = { .vcpu_id = i };
		vm_event_response_t response;

		xen_ring_response(&request, &response);
		xen_ring_answer(s, e->page, i, &response);
		ret = ring_op(e, XEN_VM_EVENT_RESUME, NULL);
	}
	return ret;
}

static int take_ring_over(struct xen_events *e)
{
	uint32_t port;
	int ret = ring_op(e, XEN_VM_EVENT_DISABLE, NULL);

	if (!ret)
		ret = enable_ring(e, &port);
	if (!ret)
		ret = free_waiting(e);
	/* Xen would go on to count answers to what nobody asked: it is begun anew. */
	if (!ret)
		ret = ring_op(e, XEN_VM_EVENT_DISABLE, NULL);
	return ret;
}

/* Xen resumes only a ring that there is, and for its owner that is no more than a look. */
static bool is_taken(struct xen_events *e)
{
	return ring_op(e, XEN_VM_EVENT_RESUME, NULL) == 0;
}

static int make_ring(struct xen_events *e)
{
	bool taken = is_taken(e);
	uint32_t port = 0;
	uint64_t gfn = 0;
	int ret = taken && !may_take_over() ? -EBUSY : ring_gfn(e, &gfn);

	if (!ret)
		ret = map_ring(e, gfn);
	if (!ret && taken)
		ret = take_ring_over(e);
	if (!ret)
		ret = enable_ring(e, &port);
	if (!ret)
		ret = hold_writes(e);
	if (!ret)
		ret = bind_port(e, port);
	/* The guest is not to write into it. */
	if (!ret)
		ret = xen_hyper_frame(&e->hyper, XENMEM_decrease_reservation, gfn);
	return ret ? ret : xen_keeper_start(e);
}

/* Of one that is half made nothing stays. */
static void unmake_ring(struct xen_events *e)
{
	if (e->watchdog->shared->ring_on)
		ring_op(e, XEN_VM_EVENT_DISABLE, NULL);
	e->watchdog->shared->ring_on = 0;
	close_fd(e->evtchn);
	e->evtchn = -1;
	if (e->page)
		munmap(e->page, XEN_PAGE_SIZE);
	e->page = NULL;
}

static int ring_failed(struct xen_events *e, int error)
{
	if (error == -EBUSY)
		return scry_fail(SCRY_E_BUSY, "another tool has the monitor's ring of VM %s, which Xen "
				 "gives to one: end that tool; if it has died, set SCRY_XEN_TAKEOVER=1 "
				 "in the environment to take its ring over", e->vm->name);
	if (error == -ENOENT && access(EVTCHN, F_OK) < 0)
		return scry_fail(SCRY_E_UNSUPPORTED, "there is no " EVTCHN ", by which Xen tells of "
				 "events: load the kernel's module xen-evtchn (modprobe xen-evtchn)");
	return scry_fail(error == -ESRCH ? SCRY_E_GONE : SCRY_E_IO, "Xen cannot tell of events of VM "
			 "%s: %s", e->vm->name, strerror(-error));
}

int xen_ring_open(struct xen_events *e)
{
	int ret;

	if (e->page)
		return 0;
	if (xen_of(e->vm)->is_down)
		return scry_fail(SCRY_E_STATE, "VM %s has shut down: nothing that it does can be told of",
				 e->vm->name);
	ret = xen_hold(e);
	if (ret < 0)
		return ret;
	ret = make_ring(e);
	if (ret)
		unmake_ring(e);
	xen_let_go(e);
	return ret ? ring_failed(e, ret) : 0;
}

static struct xen_events *new(struct scry_vm *vm)
{
	struct xen_events *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->vm = vm;
	e->watchdog = &xen_of(vm)->watchdog;
	e->evtchn = e->bell = e->epoll = e->hyper.privcmd = e->keeper.end_fd = -1;
	pthread_mutex_init(&e->lock, NULL);
	pthread_mutex_init(&e->keeper.lock, NULL);
	pthread_cond_init(&e->keeper.left, NULL);
	for (int i = 0; i < XEN_MAX_VCPUS; i++)
		pthread_mutex_init(&e->vcpu[i].lock, NULL);
	return e;
}

static int begin(struct xen_events *e, unsigned domid)
{
	int ret = xen_hyper_open(&e->hyper, domid);

	if (ret < 0)
		return scry_fail(SCRY_E_IO, "cannot make hypercalls: %s", strerror(-ret));
	e->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	e->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (e->bell < 0 || e->epoll < 0 || poll_for(e, e->bell, EPOLLIN, 0) < 0 ||
	    poll_for(e, e->watchdog->socket, EPOLLRDHUP, XEN_EPOLL_WATCHDOG) < 0)
		return scry_fail(SCRY_E_IO, "cannot make descriptors for events: %s", strerror(errno));
	xen_events_caps(e);
	return 0;
}

int xen_events_open(struct scry_vm *vm)
{
	struct xen_events *e = new(vm);

	if (!e)
		return scry_fail(SCRY_E_NOMEM, "out of memory while opening VM %s", vm->name);
	xen_of(vm)->events = e;
	return begin(e, xen_of(vm)->domid);
}

void xen_events_close(struct scry_vm *vm)
{
	struct xen_events *e = xen_events_of(vm);

	if (!e)
		return;
	for (int i = 0; i < XEN_MAX_VCPUS; i++) {
		scry_as_free(e->vcpu[i].as);
		pthread_mutex_destroy(&e->vcpu[i].lock);
	}
	close_fd(e->evtchn);
	close_fd(e->bell);
	close_fd(e->epoll);
	if (e->page)
		munmap(e->page, XEN_PAGE_SIZE);
	if (e->frame_memory)
		munmap(e->frame_memory, (size_t)XEN_FRAMES * XEN_PAGE_SIZE);
	xen_breakpoints_free(e);
	xen_views_free(&e->views);
	xen_hyper_close(&e->hyper);
	pthread_mutex_destroy(&e->lock);
	pthread_mutex_destroy(&e->keeper.lock);
	pthread_cond_destroy(&e->keeper.left);
	free(e);
}
