/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "../../../protocol/futex.h"
#include "../../peer.h"
#include "address.h"
#include "kvmi.h"
#include "rx.h"

/* QEMU tries again every 10 seconds or so: longer than an answer may take. */
#define PATIENCE 6

static void set_timeouts(int fd, int receive_ms, int send_ms)
{
	struct timeval receive = { receive_ms / 1000, receive_ms % 1000 * 1000 };
	struct timeval send = { send_ms / 1000, send_ms % 1000 * 1000 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &receive, sizeof(receive));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &send, sizeof(send));
}

static bool read_all(int fd, void *buf, size_t len)
{
	return recv(fd, buf, len, MSG_WAITALL) == (ssize_t)len;
}

/* QEMU's greeting, whatever its length: what it does not have is zero. */
static const char *take_greeting(int fd, struct kvmi_handshake *h)
{
	char rest[256];
	size_t known, size;

	memset(h, 0, sizeof(*h));
	if (!read_all(fd, &h->size, sizeof(h->size)))
		return "what connected said nothing";
	if (h->size < KVMI_HANDSHAKE_LEAST || h->size > KVMI_HANDSHAKE_MOST)
		return "what connected does not speak KVMI";
	known = h->size < sizeof(*h) ? h->size : sizeof(*h);
	if (!read_all(fd, (char *)h + sizeof(h->size), known - sizeof(h->size)))
		return "what connected hung up in its greeting";
	for (size_t left = h->size - known; left; left -= size) {
		size = left < sizeof(rest) ? left : sizeof(rest);
		if (!read_all(fd, rest, size))
			return "what connected hung up in its greeting";
	}
	return NULL;
}

static const char *shake_hands(int fd, const struct kvmi_address *address,
			       struct kvmi_handshake *handshake)
{
	struct kvmi_answer answer = { .size = sizeof(answer) };
	const char *why = take_greeting(fd, handshake);

	if (why)
		return why;
	memcpy(answer.cookie, address->cookie, sizeof(answer.cookie));
	if (send(fd, &answer, sizeof(answer), MSG_NOSIGNAL) != (ssize_t)sizeof(answer))
		return "what connected hung up in its greeting";
	return NULL;
}

static int bind_failed(const struct kvmi_address *address, int why)
{
	return scry_fail(why == EACCES || why == EPERM ? SCRY_E_PERM :
			 why == ENOENT || why == ENOTDIR ? SCRY_E_NOTFOUND : SCRY_E_IO,
			 "cannot listen at %s: %s", address->socket.sun_path, strerror(why));
}

/* Does a socket lie there that nobody listens at any longer? */
static int remove_left_over(const struct kvmi_address *address)
{
	const char *path = address->socket.sun_path;
	struct stat st;
	int fd, live;

	if (lstat(path, &st) < 0)
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return scry_fail(SCRY_E_INVAL, "%s is there already, and is no socket", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* EAGAIN: many others wait to be let in. */
	live = fd >= 0 && (!connect(fd, (const struct sockaddr *)&address->socket,
				    sizeof(address->socket)) || errno == EAGAIN);
	if (fd >= 0)
		close(fd);
	if (live)
		return scry_fail(SCRY_E_BUSY, "another tool has %s, or the VM that came to it: end that "
				 "one first", path);
	unlink(path);
	return 0;
}

static int start_listening(const struct kvmi_address *address)
{
	const struct sockaddr *name = (const struct sockaddr *)&address->socket;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), ret;

	if (fd < 0)
		return scry_fail(SCRY_E_IO, "cannot make a socket: %s", strerror(errno));
	ret = bind(fd, name, sizeof(address->socket));
	if (ret < 0 && errno == EADDRINUSE) {
		ret = remove_left_over(address);
		if (ret < 0) {
			close(fd);
			return ret;
		}
		ret = bind(fd, name, sizeof(address->socket));
	}
	if (ret < 0 || listen(fd, 4) < 0) {
		ret = bind_failed(address, errno);
		close(fd);
		return ret;
	}
	return fd;
}

static int nobody_came(struct kvmi_vm *k, const struct kvmi_address *address, const char *why)
{
	if (why)
		return scry_fail(SCRY_E_PROTOCOL, "no introspectable VM connected to %s: %s",
				 address->socket.sun_path, why);
	return scry_fail(SCRY_E_TIMEOUT, "no VM connected to %s within %d s: its QEMU needs "
			 "-chardev socket,path=...,id=c,reconnect=1 -object "
			 "introspection,id=i,chardev=c; see scry doctor",
			 address->socket.sun_path, k->vm->timeout_ms * PATIENCE / 1000);
}

/* Take connections until one is QEMU's. */
static int take_qemu(struct kvmi_vm *k, int listener, const struct kvmi_address *address)
{
	uint64_t end = scry_now_ns() + (uint64_t)k->vm->timeout_ms * PATIENCE * 1000000u, now;
	const char *why = NULL;

	while ((now = scry_now_ns()) < end) {
		struct pollfd p = { .fd = listener, .events = POLLIN };
		int fd;

		if (poll(&p, 1, (int)((end - now) / 1000000u) + 1) <= 0)
			continue;
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		set_timeouts(fd, k->vm->timeout_ms, k->vm->timeout_ms);
		why = shake_hands(fd, address, &k->handshake);
		if (!why) {
			set_timeouts(fd, KVMI_SLICE_MS, k->vm->timeout_ms);
			k->socket = fd;
			return 0;
		}
		close(fd);
	}
	return nobody_came(k, address, why);
}

/* The VM's name, or its UUID if it has none. */
static void take_name(struct kvmi_vm *k)
{
	const uint8_t *u = k->handshake.uuid;
	char *name = k->vm->name;

	_Static_assert(sizeof(k->vm->name) == sizeof(k->handshake.name), "names");
	memcpy(name, k->handshake.name, sizeof(k->vm->name));
	scry_clean_text(name, sizeof(k->vm->name));
	if (name[0])
		return;
	for (int i = 0; i < 16; i++)
		name += sprintf(name, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
				u[i]);
}

int kvmi_listen(struct kvmi_vm *k, const char *text)
{
	struct kvmi_address address;
	int ret = kvmi_address_parse(text, &address);

	if (ret < 0)
		return ret;
	ret = start_listening(&address);
	if (ret < 0)
		return ret;
	k->listener = ret;
	k->address = address.socket;
	ret = take_qemu(k, k->listener, &address);
	if (ret < 0)
		return ret;
	k->vm->pid = scry_peer_pid(k->socket);
	take_name(k);
	return 0;
}

void kvmi_unlisten(struct kvmi_vm *k)
{
	if (k->listener < 0)
		return;
	unlink(k->address.sun_path);
	close(k->listener);
	k->listener = -1;
}
