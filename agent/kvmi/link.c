/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "agent/client/client.h"
#include "agent/event/power.h"
#include "agent/refuse.h"
#include "dial.h"
#include "greeting.h"
#include "host.h"
#include "link.h"
#include "options.h"
#include "out.h"
#include "protocol/futex.h"
#include "serve.h"
#include "session.h"

#define SECOND          UINT64_C(1000000000)
#define RECONNECT_FIRST (SECOND / 500)	/* soon, then at ever longer intervals */
#define RECONNECT_LAST  (2 * SECOND)
#define RECONNECT_WRONG (SECOND / 10)	/* after a tool that spoke wrongly from the start */
#define RECONNECT_RESET (SECOND / 4)	/* the firmware resets a machine once more */
#define GREETING_NS     (10 * SECOND)	/* that QEMU waits for the tool's answer */
#define UNHOOK_NS       (60 * SECOND)	/* and for it to let go of a machine that stops */
#define NEVER           UINT64_MAX

/* A tool that does not read what it is sent is not read from. */
#define UNREAD_MOST (1u << 20)

enum state { IDLE, GREETING, UP };

static struct {
	enum state state;
	int fd, bell;
	uint64_t due_ns;		/* when to try, or to give up; NEVER */
	uint64_t interval_ns;		/* between tries */
	uint64_t up_ns;			/* since when there is a session */
	_Atomic bool was_wrong;		/* it is ended for what the tool sent */
	char told[200];			/* why there is no connection */
	struct kvmi_greeting greeting;
	pthread_mutex_t lock;		/* of what has been read, while there is a session */
	uint8_t in[2 * KVMI_MESSAGE_MOST];
	size_t have;
	_Atomic bool stuck;		/* the first of it is for the service to see */
	_Atomic bool ended;		/* nothing more is to be read */
	_Atomic unsigned direct;	/* steps when a vCPU's thread has read something */
	unsigned direct_seen;
	/* QEMU's threads write these. */
	_Atomic bool stopped, was_stopped, was_reset, was_plugged;
} link_ = { .fd = -1, .bell = -1, .lock = PTHREAD_MUTEX_INITIALIZER };

static bool is_wanted(void)
{
	return kvmi_options.address.sun_path[0];
}

void kvmi_link_ring(void)
{
	uint64_t one = 1;

	if (link_.bell >= 0 && write(link_.bell, &one, sizeof(one)) < 0)
		return;		/* it has rung very often already */
}

static void on_running(bool on)
{
	atomic_store(&link_.stopped, !on);
	if (!on)
		atomic_store(&link_.was_stopped, true);
	kvmi_link_ring();
}

static void on_reset(void)
{
	atomic_store(&link_.was_reset, true);
	kvmi_link_ring();
}

static void on_vcpu(uint64_t plugin_id, unsigned vcpu)
{
	(void)plugin_id;
	(void)vcpu;
	atomic_store(&link_.was_plugged, true);
	kvmi_link_ring();
}

int kvmi_link_init(uint64_t plugin_id)
{
	if (!is_wanted())
		return 0;
	kvmi_greeting_init();
	link_.bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (link_.bell < 0)
		return refuse("cannot make an eventfd: %s", strerror(errno));
	qemu.qemu_plugin_register_vcpu_init_cb(plugin_id, on_vcpu);
	return kvmi_host_init();
}

void kvmi_link_start(void)
{
	if (!is_wanted())
		return;
	bql_lock();
	kvmi_host_watch(on_running);
	power_watch_reset(on_reset);
	qemu.bql_unlock();
	kvmi_session_init();
}

bool kvmi_link_is_up(pid_t *pid)
{
	struct ucred cred = { .pid = -1 };
	socklen_t len = sizeof(cred);

	if (link_.state != UP)
		return false;
	getsockopt(link_.fd, SOL_SOCKET, SO_PEERCRED, &cred, &len);
	*pid = cred.pid;
	return true;
}

/* Say once why there is no connection, until there is one, or it is another reason. */
static void tell(const char *why, const char *more)
{
	char text[sizeof(link_.told)];

	snprintf(text, sizeof(text), "%s%s", why, more);
	if (strcmp(text, link_.told) != 0)
		fprintf(stderr, "scry-agent: KVMI tool at %s: %s\n",
			kvmi_options.address.sun_path, text);
	strcpy(link_.told, text);
}

static void try_later(void)
{
	uint64_t next = link_.interval_ns ? link_.interval_ns : RECONNECT_FIRST;

	link_.due_ns = scry_now_ns() + next;
	link_.interval_ns = 2 * next < RECONNECT_LAST ? 2 * next : RECONNECT_LAST;
}

void kvmi_link_is_wrong(void)
{
	atomic_store(&link_.was_wrong, true);
}

static void hang_up(void)
{
	bool wrong = atomic_exchange(&link_.was_wrong, false);

	if (link_.state == UP)
		kvmi_session_end();
	/* It would come again at once, and be told the same, as often as it can. */
	if (link_.state == UP && wrong && scry_now_ns() - link_.up_ns < SECOND)
		link_.interval_ns = RECONNECT_WRONG;
	kvmi_out_open(-1);
	if (link_.fd >= 0)
		close(link_.fd);
	link_.fd = -1;
	link_.state = IDLE;
	try_later();
}

/* QEMU hangs up on a machine that is reset, and lets the tool let go of one that stops. */
static void see_machine(void)
{
	bool reset = atomic_exchange(&link_.was_reset, false);
	bool stopped = atomic_exchange(&link_.was_stopped, false);

	if (link_.state == UP && stopped && !reset && kvmi_session_unhook())
		link_.due_ns = scry_now_ns() + UNHOOK_NS;
	else if (link_.state != IDLE && (reset || stopped))
		hang_up();
	if (atomic_exchange(&link_.was_plugged, false) && link_.state == UP)
		kvmi_session_plug();
	if (reset && link_.state == IDLE)
		link_.due_ns = scry_now_ns() + RECONNECT_RESET;
}

static void try_to_connect(void)
{
	pid_t client = client_pid();
	char number[16], why[160];
	int fd;

	try_later();
	if (atomic_load(&link_.stopped))
		return;
	if (client) {
		snprintf(number, sizeof(number), "%d", (int)client);
		tell("it can have this VM when scry's client has ended, which is process ", number);
		return;
	}
	fd = kvmi_dial(why, sizeof(why));
	if (why[0])
		tell(why, "");
	if (fd < 0)
		return;
	if (kvmi_greeting_send(&link_.greeting, fd) < 0) {
		close(fd);
		return;
	}
	link_.fd = fd;
	link_.state = GREETING;
	link_.due_ns = scry_now_ns() + GREETING_NS;
}

/* The answer to the greeting. */
static void see_greeting(void)
{
	int status = kvmi_greeting_read(&link_.greeting, link_.fd);

	if (status == 0)
		return;
	if (status < 0 || client_pid()) {
		if (status == KVMI_GREETING_WRONG)
			tell("its key is not that of kvmi-key=", kvmi_options.key);
		else if (status == KVMI_GREETING_NO_SECRET)
			tell("there is no -object secret,id=", kvmi_options.key);
		hang_up();
		return;
	}
	link_.state = UP;
	link_.told[0] = 0;
	link_.due_ns = NEVER;
	link_.interval_ns = 0;
	link_.up_ns = scry_now_ns();
	atomic_store(&link_.was_wrong, false);
	link_.have = 0;
	link_.stuck = link_.ended = false;
	kvmi_out_open(link_.fd);
	kvmi_session_begin();
}

/*
 * Whole messages from the beginning; the rest of what has been read stays.  A vCPU's
 * thread leaves what is not for vCPUs, and what comes behind it, to the service.
 */
static int take_messages(bool service)
{
	struct kvmi_header header;
	size_t at = 0;

	while (link_.have - at >= sizeof(header)) {
		memcpy(&header, link_.in + at, sizeof(header));
		if (header.size > KVMI_PAYLOAD_MOST) {
			kvmi_out_hang_up("a message of more than 8184 bytes");
			return -1;
		}
		if (link_.have - at < sizeof(header) + header.size)
			break;
		/* Where more follows, its answer is sent with theirs. */
		if (service)
			kvmi_out_gather(link_.have - at > 2 * sizeof(header) + header.size);
		link_.stuck = !service && !kvmi_session_is_to_vcpu(&header);
		if (link_.stuck) {
			kvmi_link_ring();
			break;
		}
		if (kvmi_session_message(&header, link_.in + at + sizeof(header)) < 0)
			return -1;
		at += sizeof(header) + header.size;
	}
	link_.have -= at;
	memmove(link_.in, link_.in + at, link_.have);
	return 0;
}

/* With the lock held.  -1 = hang up. */
static int read_some(bool service)
{
	ssize_t n = recv(link_.fd, link_.in + link_.have, sizeof(link_.in) - link_.have, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return -1;
	link_.have += (size_t)n;
	if (!service)
		atomic_fetch_add(&link_.direct, 1);
	return take_messages(service);
}

/* Behind a wrong message nothing is looked at, whoever reads. */
static int read_messages(bool service)
{
	int status = link_.ended ? -1 : read_some(service);

	link_.ended = status < 0;
	return status;
}

static void see_messages(bool readable)
{
	int status;

	pthread_mutex_lock(&link_.lock);
	status = link_.ended ? -1 : 0;
	if (!status && link_.stuck)
		status = take_messages(true);
	if (!status && readable)
		status = read_messages(true);
	kvmi_out_gather(false);
	pthread_mutex_unlock(&link_.lock);
	if (status < 0)
		hang_up();
}

void kvmi_link_read(void)
{
	if (kvmi_out_waiting() >= UNREAD_MOST || pthread_mutex_trylock(&link_.lock) != 0)
		return;
	/* If it is the end the service is to see that. */
	if (!link_.stuck && !link_.ended && read_messages(false) < 0)
		kvmi_link_ring();
	pthread_mutex_unlock(&link_.lock);
}

int kvmi_link_fd(void)
{
	return link_.stuck || link_.ended || kvmi_out_waiting() >= UNREAD_MOST ? -1 : link_.fd;
}

/* As long as they do, the service need not wake up each time. */
static bool is_read_by_vcpus(void)
{
	unsigned direct = atomic_load(&link_.direct);
	bool is = direct != link_.direct_seen;

	link_.direct_seen = direct;
	return is;
}

void kvmi_link_poll(struct pollfd *socket, struct pollfd *bell, int *timeout)
{
	uint64_t now = scry_now_ns();
	size_t unread = kvmi_out_waiting();

	*socket = (struct pollfd){ .fd = link_.fd };
	*bell = (struct pollfd){ .fd = link_.bell, .events = POLLIN };
	if (unread)
		socket->events |= POLLOUT;
	if (is_read_by_vcpus())
		*timeout = 1;
	else if (unread < UNREAD_MOST)
		socket->events |= POLLIN;
	if (is_wanted() && link_.due_ns != NEVER) {
		uint64_t ms = link_.due_ns < now ? 0 : (link_.due_ns - now) / 1000000 + 1;

		if (*timeout < 0 || ms < (uint64_t)*timeout)
			*timeout = (int)ms;
	}
}

void kvmi_link_serve(const struct pollfd *socket, const struct pollfd *bell)
{
	uint64_t rung;

	if (!is_wanted())
		return;
	if (bell->revents && read(bell->fd, &rung, sizeof(rung)) > 0)
		see_machine();
	kvmi_do_tasks();
	if (link_.fd >= 0 && link_.fd == socket->fd) {
		if (socket->revents & POLLOUT)
			kvmi_out_flush();
		if (link_.state == UP)
			see_messages(socket->revents & (POLLIN | POLLHUP | POLLERR));
		else if (socket->revents)
			see_greeting();
	}
	if (link_.due_ns <= scry_now_ns()) {
		if (link_.state == IDLE)
			try_to_connect();
		else
			hang_up();
	}
}
