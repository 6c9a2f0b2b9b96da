/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/kvmi/link.h"
#include "agent/refuse.h"
#include "agent/vcpu/vcpu.h"
#include "client.h"
#include "identity.h"
#include "listener.h"
#include "message.h"
#include "protocol/futex.h"
#include "service.h"

/* Peers that have connected but not said HELLO: how many, and how long they may take. */
#define PENDING_MOST 8
#define PENDING_NS   2000000000u

enum { LISTENER, CLIENT, KVMI, KVMI_BELL, PENDING };

static struct {
	unsigned vcpus;		/* that QEMU was told to make */
	struct pollfd poll[PENDING + PENDING_MOST];
	uint64_t deadline[PENDING_MOST];
	bool may_leave;		/* the agent has come when QEMU ran already */
	int asker;		/* who wants it to leave; -1 = nobody */
} service = { .asker = -1 };

/* The longest request; aligned for all of them. */
static union {
	struct scry_agent_header header;
	struct scry_agent_hello hello;
	uint8_t bytes[sizeof(struct scry_agent_memory) + SCRY_AGENT_CHUNK];
	uint64_t align;
} request;

static void hang_up(struct pollfd *p)
{
	close(p->fd);
	p->fd = -1;
}

/* One message: its length, 0 if there is none after all, -1 to hang up. */
static ssize_t receive(struct pollfd *p)
{
	ssize_t n = recv(p->fd, &request, sizeof(request), MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	return n <= 0 || n > (ssize_t)sizeof(request) ? -1 : n;
}

static bool may_talk(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 &&
	       (cred.uid == geteuid() || cred.uid == 0);
}

/* A free place for a new peer; if all are taken, that of the one that has been silent longest. */
static int pending_place(void)
{
	int oldest = 0;

	for (int i = 0; i < PENDING_MOST; i++) {
		if (service.poll[PENDING + i].fd < 0)
			return i;
		if (service.deadline[i] < service.deadline[oldest])
			oldest = i;
	}
	hang_up(&service.poll[PENDING + oldest]);
	return oldest;
}

static void accept_peer(void)
{
	int fd = accept4(service.poll[LISTENER].fd, NULL, NULL, SOCK_CLOEXEC), i;

	if (fd < 0) {
		usleep(50000);	/* QEMU has no descriptors left: poll() would not wait */
		return;
	}
	if (!may_talk(fd)) {
		close(fd);
		return;
	}
	i = pending_place();
	service.poll[PENDING + i].fd = fd;
	service.deadline[i] = scry_now_ns() + PENDING_NS;
}

/* 0, or SCRY_E_... with a sentence in text. */
static int check_hello(const struct scry_agent_hello *hello, ssize_t len, char *text, size_t size)
{
	if (len != sizeof(*hello) || hello->header.type != SCRY_AGENT_HELLO ||
	    hello->magic != SCRY_AGENT_MAGIC || hello->purpose > SCRY_AGENT_LEAVE) {
		snprintf(text, size, "a client of this agent says HELLO first");
		return SCRY_E_PROTOCOL;
	}
	if (hello->version != SCRY_AGENT_VERSION) {
		snprintf(text, size, "VM %s runs the agent of scry " SCRY_VERSION " (protocol %u), this "
			 "is scry %.31s (protocol %u): start the VM anew with this scry's agent, or "
			 "use that scry", identity.name, SCRY_AGENT_VERSION, hello->build,
			 hello->version);
		return SCRY_E_VERSION;
	}
	return 0;
}

/* 0, or SCRY_E_... with a sentence in text. */
static int take_leave(int fd, char *text, size_t size)
{
	if (!service.may_leave) {
		snprintf(text, size, "the agent of VM %s was loaded when QEMU started, by -plugin, and stays "
			 "until QEMU ends", identity.name);
		return SCRY_E_UNSUPPORTED;
	}
	if (client_pid()) {
		snprintf(text, size, "VM %s has a client, process %d: end that one first", identity.name,
			 (int)client_pid());
		return SCRY_E_BUSY;
	}
	service.asker = fd;
	return 0;
}

/* What it has come for; *stays = its connection is kept. */
static int take_hello(int fd, ssize_t len, bool *stays, char *text, size_t size)
{
	int status = check_hello(&request.hello, len, text, size);

	if (status)
		return status;
	if (request.hello.purpose == SCRY_AGENT_ASK)
		return client_welcome(fd), 0;
	if (service.asker >= 0) {
		snprintf(text, size, "the agent of VM %s is about to leave", identity.name);
		return SCRY_E_BUSY;
	}
	if (request.hello.purpose == SCRY_AGENT_LEAVE)
		status = take_leave(fd, text, size);
	else
		status = client_attach(fd, request.hello.reply_timeout_ms, text, size);
	*stays = !status;
	if (*stays && request.hello.purpose == SCRY_AGENT_ATTACH)
		service.poll[CLIENT].fd = fd;
	return status;
}

/* A peer says HELLO, or has hung up. */
static void serve_pending(struct pollfd *p)
{
	char text[240];
	ssize_t len = receive(p);
	bool stays = false;
	int status;

	if (len == 0)
		return;
	if (len > 0) {
		status = take_hello(p->fd, len, &stays, text, sizeof(text));
		if (status)
			message_fail(p->fd, SCRY_AGENT_HELLO, status, text);
	}
	if (stays)
		p->fd = -1;
	else
		hang_up(p);
}

static void serve_client(struct pollfd *p)
{
	ssize_t len = receive(p);

	if (len == 0 || (len > 0 && client_request(p->fd, &request, (size_t)len) == 0))
		return;
	client_detach();
	hang_up(p);
}

static void drop_silent(void)
{
	uint64_t now = scry_now_ns();

	for (int i = 0; i < PENDING_MOST; i++)
		if (service.poll[PENDING + i].fd >= 0 && now > service.deadline[i])
			hang_up(&service.poll[PENDING + i]);
}

/* Milliseconds until drop_silent() has something to do; -1 = never. */
static int until_deadline(void)
{
	uint64_t now = scry_now_ns(), first = UINT64_MAX;

	for (int i = 0; i < PENDING_MOST; i++)
		if (service.poll[PENDING + i].fd >= 0 && service.deadline[i] < first)
			first = service.deadline[i];
	if (first == UINT64_MAX)
		return -1;
	return first < now ? 0 : (int)((first - now) / 1000000) + 1;
}

static void serve(void)
{
	int timeout = until_deadline(), ready;

	kvmi_link_poll(&service.poll[KVMI], &service.poll[KVMI_BELL], &timeout);
	ready = poll(service.poll, PENDING + PENDING_MOST, timeout);
	if (ready > 0) {
		/* The client first: its hang-up makes room for the next. */
		if (service.poll[CLIENT].revents)
			serve_client(&service.poll[CLIENT]);
		for (int i = 0; i < PENDING_MOST; i++)
			if (service.poll[PENDING + i].fd >= 0 && service.poll[PENDING + i].revents)
				serve_pending(&service.poll[PENDING + i]);
		if (service.poll[LISTENER].revents)
			accept_peer();
	}
	if (ready >= 0)
		kvmi_link_serve(&service.poll[KVMI], &service.poll[KVMI_BELL]);
	drop_silent();
}

/* QEMU holds its big lock until the machine is made (with --preconfig, until a while before). */
static int wait_for_machine(void)
{
	for (;;) {
		int n;

		bql_lock();
		n = vcpu_find_all();
		if (n == 0 && qemu.runstate_is_running())
			n = refuse("this machine has no vCPU: there is nothing to look into");
		qemu.bql_unlock();
		if (n < 0 || n >= (int)service.vcpus)
			return n;
		usleep(20000);
	}
}

static void *run(void *unused)
{
	(void)unused;
	qemu.rcu_register_thread();
	if (wait_for_machine() < 0) {
		listener_unlink();
		close(service.poll[LISTENER].fd);
		return NULL;
	}
	client_init();
	kvmi_link_start();
	for (;;)
		serve();
}

int service_thread(void *(*fn)(void *))
{
	sigset_t all, old;
	pthread_t thread;
	int err;

	/* QEMU's signals are for QEMU's threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&thread, NULL, fn, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		return refuse("cannot start the agent's thread: %s", strerror(err));
	pthread_setname_np(thread, "scry-agent");
	return pthread_detach(thread);
}

static int open_listener(void)
{
	for (int i = 0; i < PENDING + PENDING_MOST; i++)
		service.poll[i] = (struct pollfd){ .fd = -1, .events = POLLIN };
	service.poll[LISTENER].fd = listener_open();
	return service.poll[LISTENER].fd < 0 ? -1 : 0;
}

int service_start(unsigned vcpus_wanted)
{
	service.vcpus = vcpus_wanted;
	if (open_listener() < 0)
		return -1;
	if (service_thread(run) == 0)
		return 0;
	listener_unlink();
	return -1;
}

int service_open(void)
{
	service.may_leave = true;
	return open_listener();
}

void service_close(void)
{
	listener_unlink();
	for (int i = 0; i < PENDING + PENDING_MOST; i++)
		if (service.poll[i].fd >= 0)
			hang_up(&service.poll[i]);
}

int service_run(void)
{
	service.asker = -1;
	while (service.asker < 0)
		serve();
	return service.asker;
}

void service_stays(int asker, const char *why)
{
	message_fail(asker, SCRY_AGENT_HELLO, SCRY_E_BUSY, why);
	close(asker);
}

void service_left(int asker)
{
	struct scry_agent_header left = { .type = SCRY_AGENT_HELLO };

	message_send(asker, &left, sizeof(left), NULL, 0);
	close(asker);
}
