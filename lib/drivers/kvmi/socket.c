/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "../../../protocol/futex.h"
#include "../../peer.h"
#include "address.h"
#include "kvmi.h"
#include "rx.h"

/* QEMU tries again every 10 seconds or so: longer than an answer may take. */
#define PATIENCE 6

#define SILENT_MS 500

static void set_timeouts(int fd, int receive_ms, int send_ms)
{
	struct timeval receive = { receive_ms / 1000, receive_ms % 1000 * 1000 };
	struct timeval send = { send_ms / 1000, send_ms % 1000 * 1000 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &receive, sizeof(receive));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &send, sizeof(send));
}

/* All of it, before the time is over. */
static bool read_all(int fd, void *buf, size_t len, uint64_t end)
{
	uint64_t now = scry_now_ns();

	if (now >= end)
		return false;
	set_timeouts(fd, (int)((end - now) / 1000000u) + 1, 0);
	return recv(fd, buf, len, MSG_WAITALL) == (ssize_t)len;
}

/* QEMU's greeting, whatever its length: what it does not have is zero. */
static const char *take_greeting(int fd, struct kvmi_handshake *h, uint64_t end)
{
	char rest[256];
	size_t known, size;

	memset(h, 0, sizeof(*h));
	if (!read_all(fd, &h->size, sizeof(h->size), end))
		return "what connected said nothing";
	if (h->size < KVMI_HANDSHAKE_LEAST || h->size > KVMI_HANDSHAKE_MOST)
		return "what connected does not speak KVMI";
	known = h->size < sizeof(*h) ? h->size : sizeof(*h);
	if (!read_all(fd, (char *)h + sizeof(h->size), known - sizeof(h->size), end))
		return "what connected hung up in its greeting";
	for (size_t left = h->size - known; left; left -= size) {
		size = left < sizeof(rest) ? left : sizeof(rest);
		if (!read_all(fd, rest, size, end))
			return "what connected hung up in its greeting, or took too long for it";
	}
	return NULL;
}

static const char *shake_hands(int fd, const struct kvmi_address *address,
			       struct kvmi_handshake *handshake, uint64_t end)
{
	struct kvmi_answer answer = { .size = sizeof(answer) };
	const char *why = take_greeting(fd, handshake, end);

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

static struct kvmi_place place_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) < 0 ? (struct kvmi_place){ 0 } :
	       (struct kvmi_place){ st.st_dev, st.st_ino };
}

/*
 * Between bind() and listen() a socket looks like one that is left over: tools do it
 * one at a time, the folder locked.  Whoever keeps that lock for long is not waited for.
 */
static int lock_folder(const struct sockaddr_un *address)
{
	const struct timespec pause = { .tv_nsec = 5000000 };
	char path[sizeof(address->sun_path)];
	int fd;

	snprintf(path, sizeof(path), "%s", address->sun_path);
	fd = open(dirname(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && i < 200; i++)
		nanosleep(&pause, NULL);
	return fd;
}

static void unlock_folder(int fd)
{
	if (fd >= 0)
		close(fd);
}

/*
 * The socket is made as the owner of its folder would make it, for a QEMU of that user's
 * must be able to connect.  (To give it away when it is made would be to give away whatever
 * has its name by then.)
 */
static int bind_as_owner(int fd, const struct sockaddr_un *address)
{
	char path[sizeof(address->sun_path)];
	int ret, error, self = -1;
	struct stat st;

	snprintf(path, sizeof(path), "%s", address->sun_path);
	if (!geteuid() && !stat(dirname(path), &st) && st.st_uid)
		self = setfsuid(st.st_uid);
	ret = bind(fd, (const struct sockaddr *)address, sizeof(*address));
	error = errno;
	if (self >= 0)
		setfsuid((uid_t)self);
	errno = error;
	return ret;
}

static int listen_alone(const struct kvmi_address *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), ret;

	if (fd < 0)
		return scry_fail(SCRY_E_IO, "cannot make a socket: %s", strerror(errno));
	ret = bind_as_owner(fd, &address->socket);
	if (ret < 0 && errno == EADDRINUSE) {
		ret = remove_left_over(address);
		if (ret < 0) {
			close(fd);
			return ret;
		}
		ret = bind_as_owner(fd, &address->socket);
	}
	if (ret < 0 || listen(fd, 4) < 0) {
		ret = bind_failed(address, errno);
		close(fd);
		return ret;
	}
	return fd;
}

static int start_listening(const struct kvmi_address *address, struct kvmi_place *place)
{
	int folder = lock_folder(&address->socket), fd = listen_alone(address);

	if (fd >= 0)
		*place = place_of(address->socket.sun_path);
	unlock_folder(folder);
	return fd;
}

static int nobody_came(struct kvmi_vm *k, const struct kvmi_address *address, const char *why)
{
	if (why)
		return scry_fail(SCRY_E_PROTOCOL, "no introspectable VM connected to %s: %s",
				 address->socket.sun_path, why);
	return scry_fail(SCRY_E_TIMEOUT, "no VM connected to %s within %d s: a stock QEMU comes with "
			 "-plugin scry-agent.so,kvmi=PATH (what keeps it away it says itself), a "
			 "patched one with -chardev socket,path=PATH,id=c,reconnect=1 -object "
			 "introspection,id=i,chardev=c; and none that is stopped",
			 address->socket.sun_path, k->vm->timeout_ms * PATIENCE / 1000);
}

/* Does it begin to speak?  It has less time for that when others wait. */
static bool speaks(int fd, int listener, uint64_t end)
{
	struct pollfd p[] = { { .fd = fd, .events = POLLIN },
			      { .fd = listener, .events = POLLIN } };
	uint64_t now;

	if (poll(p, 1, SILENT_MS) > 0)
		return true;
	now = scry_now_ns();
	return now < end && poll(p, 2, (int)((end - now) / 1000000u) + 1) > 0 && p[0].revents;
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
		if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
			return scry_fail(SCRY_E_IO, "a VM came to %s, and could not be let in: %s",
					 address->socket.sun_path, strerror(errno));
		if (fd < 0)
			continue;
		now = scry_now_ns() + (uint64_t)k->vm->timeout_ms * 1000000u;
		now = now < end ? now : end;
		why = speaks(fd, listener, now) ? shake_hands(fd, address, &k->handshake, now) :
						  "what connected said nothing";
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
	ret = start_listening(&address, &k->place);
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
	struct kvmi_place now;
	int folder;

	if (k->listener < 0)
		return;
	folder = lock_folder(&k->address);
	now = place_of(k->address.sun_path);
	if (now.inode == k->place.inode && now.device == k->place.device)
		unlink(k->address.sun_path);
	unlock_folder(folder);
	close(k->listener);
	k->listener = -1;
}
