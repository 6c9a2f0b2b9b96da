/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../peer.h"
#include "connection.h"
#include "qemu.h"

#define LOCK_TRIES 500	/* a millisecond each */

static int not_ours(const char *path)
{
	return scry_fail(SCRY_E_INVAL, "%s is not the socket of a scry agent (a dump is named "
			 "file:%s)", path, path);
}

static int connect_failed(const char *path)
{
	int why = errno;
	struct stat st;
	bool known = !stat(path, &st);

	switch (why) {
	case ENOENT:
	case ENOTDIR:
		return scry_fail(SCRY_E_NOTFOUND, "no VM listens at %s: start one with scry run, "
				 "or see scry list", path);
	case ECONNREFUSED:
		if (known && !S_ISSOCK(st.st_mode))
			return not_ours(path);
		return scry_fail(SCRY_E_NOTFOUND, "the VM behind %s has ended: its socket is a "
				 "left-over, which the next VM of that name removes", path);
	case EACCES:
	case EPERM:
		if (known)
			return scry_fail(SCRY_E_PERM, "no permission on %s: be the user who runs "
					 "this QEMU (number %u), or root", path, (unsigned)st.st_uid);
		return scry_fail(SCRY_E_PERM, "no permission to look for %s: be the user who runs "
				 "this QEMU, or root", path);
	case EAGAIN:
		return scry_fail(SCRY_E_TIMEOUT, "the agent at %s takes no client: is its QEMU "
				 "stopped or hung?", path);
	case EPROTOTYPE:
		return not_ours(path);
	default:
		return scry_fail(SCRY_E_IO, "cannot connect to %s: %s", path, strerror(why));
	}
}

static void set_timeout(int fd, int timeout_ms)
{
	struct timeval tv = { .tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
}

/* An agent holds its folder's lock from before its socket has a name until it listens. */
static void wait_for_maker(const struct sockaddr_un *address)
{
	char copy[sizeof(address->sun_path)];
	int folder;

	strcpy(copy, address->sun_path);
	folder = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		return;
	for (int i = 0; flock(folder, LOCK_SH | LOCK_NB) < 0 && i < LOCK_TRIES; i++)
		usleep(1000);
	close(folder);
}

static int connect_to(int fd, const struct sockaddr_un *address)
{
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
		return 0;
	if (errno != ECONNREFUSED)
		return -1;
	wait_for_maker(address);
	return connect(fd, (const struct sockaddr *)address, sizeof(*address));
}

int qemu_connect(const char *path, int timeout_ms)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(address.sun_path))
		return scry_fail(SCRY_E_INVAL, "the socket's path is longer than %zu bytes: %s",
				 sizeof(address.sun_path) - 1, path);
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return scry_fail(SCRY_E_IO, "cannot make a socket: %s", strerror(errno));
	set_timeout(fd, timeout_ms);
	if (connect_to(fd, &address) < 0) {
		int ret = connect_failed(path);

		close(fd);
		return ret;
	}
	return fd;
}

void qemu_close_fds(struct qemu_call *call)
{
	while (call->fd_count > 0)
		close(call->fds[--call->fd_count]);
}

static int io_failed(const char *what)
{
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return scry_fail(SCRY_E_TIMEOUT, "the agent did not answer in time: is its QEMU "
				 "stopped or hung?");
	if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN || errno == EBADF)
		return scry_fail(SCRY_E_GONE, "the VM has ended, or its agent has hung up");
	return scry_fail(SCRY_E_IO, "%s the agent failed: %s", what, strerror(errno));
}

static int send_request(int fd, const struct qemu_call *call)
{
	struct iovec iov[2] = {
		{ (void *)call->request, call->request_len },
		{ (void *)call->payload, call->payload_len },
	};
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = call->payload_len ? 2 : 1 };
	ssize_t n;

	do
		n = sendmsg(fd, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? io_failed("sending to") : 0;
}

static void take_fds(struct msghdr *msg, struct qemu_call *call)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t count;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (call->fd_count < QEMU_MAX_FDS)
				call->fds[call->fd_count++] = fd;
			else
				close(fd);
		}
	}
}

static ssize_t receive_reply(int fd, struct qemu_call *call, void *buf, size_t size)
{
	char control[CMSG_SPACE(QEMU_MAX_FDS * sizeof(int))];
	struct iovec iov = { buf, size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			      .msg_controllen = sizeof(control) };
	ssize_t n;

	do
		n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return io_failed("receiving from");
	take_fds(&msg, call);
	if (!n)
		return scry_fail(SCRY_E_GONE, "the VM has ended, or its agent has hung up");
	/* The kernel leaves out the descriptors that the process has no place for. */
	if (msg.msg_flags & MSG_CTRUNC && call->fd_count < QEMU_MAX_FDS)
		return scry_fail(SCRY_E_IO, "this process may open no more files, and the VM's memory "
				 "is one: raise its limit (ulimit -n)");
	if (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
		return scry_fail(SCRY_E_PROTOCOL, "the agent sent a message that is too long");
	return n;
}

union message {
	struct scry_agent_header header;
	struct scry_agent_failure failure;
	struct scry_agent_welcome welcome;
	struct scry_agent_caps caps;
	struct scry_agent_map map;
	char bytes[sizeof(struct scry_agent_memory) + SCRY_AGENT_CHUNK];
};

int qemu_agent_failed(int status, char *text, size_t size)
{
	if (status >= 0 || status < SCRY_E_REFUSED)
		return scry_fail(SCRY_E_PROTOCOL, "the agent gave the unknown status %d", status);
	scry_clean_text(text, size);
	return scry_fail(status, "%s", text[0] ? text : scry_strerror(status));
}

static ssize_t check_reply(const struct qemu_call *call, union message *message, size_t len)
{
	const struct scry_agent_header *asked = call->request, *got = &message->header;

	if (len < sizeof(*got) || got->type != asked->type)
		return scry_fail(SCRY_E_PROTOCOL, "the agent sent a reply to another request");
	if (got->status && len == sizeof(message->failure))
		return qemu_agent_failed(got->status, message->failure.text,
					 sizeof(message->failure.text));
	if (got->status || len < call->reply_min || len > call->reply_max)
		return scry_fail(SCRY_E_PROTOCOL, "the agent sent %zu bytes in reply to request %u",
				 len, asked->type);
	memcpy(call->reply, message, len);
	return (ssize_t)len;
}

ssize_t qemu_call(int fd, struct qemu_call *call)
{
	union message message;
	ssize_t ret;

	call->fd_count = 0;
	ret = send_request(fd, call);
	if (ret < 0)
		return ret;
	ret = receive_reply(fd, call, &message, sizeof(message));
	if (ret >= 0)
		ret = check_reply(call, &message, (size_t)ret);
	if (ret < 0)
		qemu_close_fds(call);
	return ret;
}

/* Nothing that came in a WELCOME may be unterminated or out of range. */
static int check_welcome(struct scry_agent_welcome *w, size_t len, enum scry_agent_purpose purpose,
			 const struct qemu_call *call)
{
	scry_clean_text(w->build, sizeof(w->build));
	scry_clean_text(w->name, sizeof(w->name));
	scry_clean_text(w->hypervisor, sizeof(w->hypervisor));
	if (w->magic != SCRY_AGENT_MAGIC)
		return scry_fail(SCRY_E_PROTOCOL, "what answers there is not a scry agent");
	if (w->version != SCRY_AGENT_VERSION)
		return scry_fail(SCRY_E_VERSION, "the VM's agent is of scry %s (protocol %u), this "
				 "library of scry " SCRY_VERSION " (protocol %u): restart the VM "
				 "with this agent", w->build, w->version, SCRY_AGENT_VERSION);
	if (len != sizeof(*w))
		return scry_fail(SCRY_E_PROTOCOL, "the agent sent a malformed welcome");
	if (!w->vcpus || w->vcpus > SCRY_AGENT_VCPUS)
		return scry_fail(SCRY_E_PROTOCOL, "the agent says that the VM has %u vCPUs",
				 w->vcpus);
	if (purpose == SCRY_AGENT_ATTACH && call->fd_count != 2)
		return scry_fail(SCRY_E_PROTOCOL, "the agent did not hand over the shared area");
	return 0;
}

int qemu_hello(int fd, enum scry_agent_purpose purpose, uint32_t reply_timeout_ms,
	       struct scry_agent_welcome *welcome, struct qemu_call *call)
{
	struct scry_agent_hello hello = {
		.header.type = SCRY_AGENT_HELLO,
		.magic = SCRY_AGENT_MAGIC,
		.version = SCRY_AGENT_VERSION,
		.purpose = purpose,
		.reply_timeout_ms = reply_timeout_ms,
		.build = SCRY_VERSION,
	};
	ssize_t ret;

	/* Of another version's welcome only the beginning need be alike. */
	memset(welcome, 0, sizeof(*welcome));
	*call = (struct qemu_call){ .request = &hello, .request_len = sizeof(hello),
				    .reply = welcome,
				    .reply_min = offsetof(struct scry_agent_welcome, vcpus),
				    .reply_max = sizeof(*welcome) };
	ret = qemu_call(fd, call);
	if (ret >= 0)
		ret = check_welcome(welcome, (size_t)ret, purpose, call);
	if (ret < 0)
		qemu_close_fds(call);
	return ret < 0 ? (int)ret : 0;
}

ssize_t qemu_request(struct qemu_vm *q, struct qemu_call *call)
{
	ssize_t ret;

	pthread_mutex_lock(&q->socket_lock);
	ret = q->ended ? SCRY_E_GONE : qemu_call(q->socket, call);
	/* After a time-out or nonsense, replies would no longer belong to requests. */
	if (ret == SCRY_E_TIMEOUT || ret == SCRY_E_PROTOCOL || ret == SCRY_E_GONE ||
	    ret == SCRY_E_IO)
		qemu_end(q, (int)ret);
	pthread_mutex_unlock(&q->socket_lock);
	return ret == SCRY_E_GONE ? qemu_ended(q) : ret;
}

int qemu_exchange(struct qemu_vm *q, struct qemu_call *call)
{
	ssize_t ret;

	call->reply_min = call->reply_max;
	ret = qemu_request(q, call);
	if (ret < 0)
		return (int)ret;
	qemu_close_fds(call);
	return 0;
}

int qemu_exchange_value(struct qemu_vm *q, const void *request, size_t len, uint64_t *value)
{
	struct scry_agent_value reply;
	struct qemu_call call = { .request = request, .request_len = len, .reply = &reply,
				  .reply_max = sizeof(reply) };
	int ret = qemu_exchange(q, &call);

	if (!ret && value)
		*value = reply.value;
	return ret;
}

int qemu_request_value(struct qemu_vm *q, enum scry_agent_request type, uint64_t argument,
		       uint64_t *value)
{
	const struct scry_agent_value request = { .header.type = type, .value = argument };

	return qemu_exchange_value(q, &request, sizeof(request), value);
}
