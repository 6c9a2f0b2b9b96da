/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "link.h"
#include "out.h"

/* So many bytes are sent in one piece at most: the tool can begin with them. */
#define GATHERED_MOST 32768u

static struct {
	pthread_mutex_t lock;
	int fd;
	uint32_t seq;		/* of the last event */
	uint8_t *bytes;		/* that could not be sent yet */
	size_t begin, end, room;
	_Atomic size_t waiting;	/* end - begin */
	bool gathers;		/* they may be sent a little later */
} out = { .lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1 };

void kvmi_out_open(int fd)
{
	pthread_mutex_lock(&out.lock);
	out.fd = fd;
	out.seq = 0;
	free(out.bytes);
	out.bytes = NULL;
	out.begin = out.end = out.room = 0;
	atomic_store(&out.waiting, 0);
	out.gathers = false;
	pthread_mutex_unlock(&out.lock);
}

static void hang_up(void)
{
	if (out.fd >= 0)
		shutdown(out.fd, SHUT_RDWR);
}

/* The kernel takes as much of it now: 0 if the tool does not read. */
static size_t send_now(const void *bytes, size_t size)
{
	ssize_t n = send(out.fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		hang_up();
	return n < 0 ? 0 : (size_t)n;
}

static void keep(const uint8_t *bytes, size_t size)
{
	size_t room = out.room ? out.room : KVMI_MESSAGE_MOST;
	uint8_t *more;

	/* What is sent already leaves its room. */
	if (out.begin && (out.begin == out.end || out.end + size > out.room)) {
		memmove(out.bytes, out.bytes + out.begin, out.end - out.begin);
		out.end -= out.begin;
		out.begin = 0;
	}
	while (room < out.end + size)
		room *= 2;
	more = room == out.room ? out.bytes : realloc(out.bytes, room);
	if (!more) {
		hang_up();
		return;
	}
	out.bytes = more;
	out.room = room;
	memcpy(out.bytes + out.end, bytes, size);
	out.end += size;
	atomic_store(&out.waiting, out.end - out.begin);
	if (!out.gathers)
		kvmi_link_ring();
}

/* With the lock held. */
static void flush(void)
{
	if (out.fd >= 0 && out.begin < out.end)
		out.begin += send_now(out.bytes + out.begin, out.end - out.begin);
	atomic_store(&out.waiting, out.end - out.begin);
}

/* With the lock held. */
static void put(const uint8_t *message, size_t size)
{
	size_t sent = 0;

	if (out.fd < 0)
		return;
	if (out.begin == out.end && !out.gathers)
		sent = send_now(message, size);
	if (sent < size)
		keep(message + sent, size - sent);
}

void kvmi_out_reply(const struct kvmi_header *command, int err, const void *data, size_t size)
{
	struct kvmi_status status = { .err = err };
	struct kvmi_header header = { .id = command->id, .seq = command->seq };
	uint8_t message[KVMI_MESSAGE_MOST];
	size_t at = sizeof(header);

	if (err)
		size = 0;
	header.size = (uint16_t)(sizeof(status) + size);
	memcpy(message, &header, sizeof(header));
	memcpy(message + at, &status, sizeof(status));
	at += sizeof(status);
	if (size)
		memcpy(message + at, data, size);
	pthread_mutex_lock(&out.lock);
	put(message, at + size);
	if (out.gathers && out.end - out.begin >= GATHERED_MOST)
		flush();
	pthread_mutex_unlock(&out.lock);
}

uint32_t kvmi_out_event(uint16_t id, const void *head, size_t head_size, const void *part,
			size_t part_size)
{
	struct kvmi_header header = { .id = id, .size = (uint16_t)(head_size + part_size) };
	uint8_t message[KVMI_MESSAGE_MOST];

	memcpy(message + sizeof(header), head, head_size);
	if (part_size)
		memcpy(message + sizeof(header) + head_size, part, part_size);
	pthread_mutex_lock(&out.lock);
	header.seq = ++out.seq;
	memcpy(message, &header, sizeof(header));
	put(message, sizeof(header) + header.size);
	if (out.gathers)
		flush();	/* its vCPU waits */
	pthread_mutex_unlock(&out.lock);
	return header.seq;
}

size_t kvmi_out_waiting(void)
{
	return atomic_load(&out.waiting);
}

void kvmi_out_flush(void)
{
	pthread_mutex_lock(&out.lock);
	flush();
	pthread_mutex_unlock(&out.lock);
}

void kvmi_out_gather(bool on)
{
	if (out.gathers == on)
		return;
	pthread_mutex_lock(&out.lock);
	out.gathers = on;
	if (!on)
		flush();
	pthread_mutex_unlock(&out.lock);
}

void kvmi_out_hang_up(const char *why)
{
	fprintf(stderr, "scry-agent: KVMI: %s: hanging up\n", why);
	kvmi_link_is_wrong();
	pthread_mutex_lock(&out.lock);
	hang_up();
	pthread_mutex_unlock(&out.lock);
}
