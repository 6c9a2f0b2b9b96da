/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "peer.h"
#include "peer_commands.h"

static void write_out(struct peer *p, const void *bytes, size_t size)
{
	if (p->fd >= 0 && size && send(p->fd, bytes, size, MSG_NOSIGNAL) < 0)
		shutdown(p->fd, SHUT_RDWR);
}

static void flush(struct peer *p)
{
	write_out(p, p->out, p->out_size);
	p->out_size = 0;
}

/* To be sent with what is answered next. */
static void gather(struct peer *p, const void *bytes, size_t size)
{
	if (p->out_size + size > PEER_OUT)
		flush(p);
	memcpy(p->out + p->out_size, bytes, size);
	p->out_size += size;
}

void peer_send(struct peer *p, uint16_t id, uint32_t seq, const void *payload, size_t size)
{
	struct {
		struct kvmi_header header;
		uint8_t payload[65536];
	} m;

	m.header = (struct kvmi_header){ .id = id, .size = (uint16_t)size, .seq = seq };
	/* What is spoilt may be longer. */
	if (p->spoil)
		memset(m.payload, 0, sizeof(m.payload));
	if (size)
		memcpy(m.payload, payload, size);
	if (p->spoil)
		p->spoil(p, &m.header, m.payload);
	size = sizeof(m.header) + m.header.size;
	if (p->gathers && size <= KVMI_MESSAGE_MOST)
		gather(p, &m, size);
	else
		write_out(p, &m, size);
}

void peer_raise_locked(struct peer *p, unsigned vcpu, enum kvmi_event event, const void *part,
		       size_t size)
{
	struct peer_vcpu *v = &p->vcpu[vcpu];
	struct kvmi_v7_event v7 = { .size = sizeof(v7), .vcpu = (uint16_t)vcpu,
				    .event = (uint8_t)kvmi_event_id(KVMI_V7, event) };
	uint8_t payload[640] = { 0 };
	size_t at = 0;

	v7.arch.mode = 8;
	v7.arch.gprs = v->gprs;
	v7.arch.sregs.cr0 = 0x80000011;
	v7.arch.view = v->view;
	if (p->generation == KVMI_V12) {
		payload[0] = (uint8_t)kvmi_event_id(KVMI_V12, event);
		at = sizeof(struct kvmi_v12_event);
		v7.event = 0;
	}
	memcpy(payload + at, &v7, sizeof(v7));
	at += sizeof(v7);
	if (size)
		memcpy(payload + at, part, size);
	v->waits = true;
	v->event = event;
	v->seq = ++p->seq;
	peer_send(p, KVMI_V7_EVENT, v->seq, payload, at + size);
}

void peer_raise(struct peer *p, unsigned vcpu, enum kvmi_event event, const void *part, size_t size)
{
	pthread_mutex_lock(&p->lock);
	peer_raise_locked(p, vcpu, event, part, size);
	pthread_mutex_unlock(&p->lock);
}

void peer_hang_up(struct peer *p)
{
	pthread_mutex_lock(&p->lock);
	shutdown(p->fd, SHUT_RDWR);
	pthread_mutex_unlock(&p->lock);
}

void peer_unhook(struct peer *p)
{
	const struct kvmi_v12_event v12 = { 0 };
	const struct kvmi_v7_event v7 = { .size = sizeof(v7) };

	pthread_mutex_lock(&p->lock);
	if (p->generation == KVMI_V12)
		peer_send(p, KVMI_V12_VM_EVENT, ++p->seq, &v12, sizeof(v12));
	else
		peer_send(p, KVMI_V7_EVENT, ++p->seq, &v7, sizeof(v7));
	pthread_mutex_unlock(&p->lock);
}

static struct timespec in_ms(unsigned ms)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += ms % 1000 * 1000000L;
	if (t.tv_nsec >= 1000000000L) {
		t.tv_nsec -= 1000000000L;
		t.tv_sec++;
	}
	return t;
}

bool peer_runs(struct peer *p, unsigned vcpu, unsigned ms)
{
	const struct timespec end = in_ms(ms);
	bool runs;

	pthread_mutex_lock(&p->lock);
	while (p->vcpu[vcpu].waits && !pthread_cond_timedwait(&p->change, &p->lock, &end))
		;
	runs = !p->vcpu[vcpu].waits;
	pthread_mutex_unlock(&p->lock);
	return runs;
}

bool peer_await(struct peer *p, unsigned vcpu, unsigned replies)
{
	const struct timespec end = in_ms(20000);
	bool came;

	pthread_mutex_lock(&p->lock);
	while (p->vcpu[vcpu].replies < replies &&
	       !pthread_cond_timedwait(&p->change, &p->lock, &end))
		;
	came = p->vcpu[vcpu].replies >= replies;
	pthread_mutex_unlock(&p->lock);
	return came;
}

/* What a vCPU has to tell before it runs. */
static void run(struct peer *p, unsigned vcpu)
{
	struct peer_vcpu *v = &p->vcpu[vcpu];
	const struct kvmi_event_trap trap = { .vector = v->vector };

	if (v->waits || p->mute)
		return;
	if (v->trap) {
		v->trap = false;
		peer_raise_locked(p, vcpu, KVMI_EVENT_TRAP, &trap, sizeof(trap));
	} else if (v->pauses) {
		v->pauses--;
		peer_raise_locked(p, vcpu, KVMI_EVENT_PAUSE, NULL, 0);
	}
}

static void take_answer(struct peer *p, const struct kvmi_header *header, const uint8_t *payload)
{
	struct kvmi_event_answer a = { .header = *header };
	size_t size = header->size < sizeof(a) - sizeof(*header) ? header->size :
		      sizeof(a) - sizeof(*header);
	struct peer_vcpu *v;

	memcpy(&a.vcpu, payload, size);
	v = &p->vcpu[a.vcpu.vcpu % PEER_VCPUS];
	/* As the kernel: a wrong number, or at a wrong time, ends it. */
	if (!v->waits || header->seq != v->seq || a.vcpu.vcpu >= PEER_VCPUS) {
		shutdown(p->fd, SHUT_RDWR);
		return;
	}
	if (v->event != KVMI_EVENT_PAUSE && v->event != KVMI_EVENT_TRAP) {
		v->replies++;
		v->last = a;
	}
	if (v->has_next)
		v->gprs = v->next;
	v->waits = v->has_next = false;
	pthread_cond_broadcast(&p->change);
	run(p, a.vcpu.vcpu);
	if (p->answered && !v->waits)
		p->answered(p, a.vcpu.vcpu);
}

static void take(struct peer *p, const struct kvmi_header *header, const uint8_t *payload)
{
	uint16_t answer = p->generation == KVMI_V7 ? KVMI_V7_EVENT_REPLY : KVMI_V12_VCPU_EVENT;

	if (p->delay_ms)
		usleep(p->delay_ms * 1000);
	pthread_mutex_lock(&p->lock);
	if (header->id == answer) {
		take_answer(p, header, payload);
	} else {
		p->commands++;
		peer_command(p, header, payload);
		for (unsigned i = 0; i < PEER_VCPUS; i++)
			run(p, i);
	}
	pthread_mutex_unlock(&p->lock);
}

static void serve(struct peer *p)
{
	static const size_t room = 131072;
	uint8_t *buf = malloc(room);
	struct kvmi_header header;
	size_t have = 0;
	ssize_t n;

	while (buf && (n = recv(p->fd, buf + have, room - have, 0)) > 0) {
		size_t at = 0;

		have += (size_t)n;
		while (have - at >= sizeof(header)) {
			memcpy(&header, buf + at, sizeof(header));
			if (have - at < sizeof(header) + header.size)
				break;
			take(p, &header, buf + at + sizeof(header));
			at += sizeof(header) + header.size;
		}
		pthread_mutex_lock(&p->lock);
		flush(p);
		pthread_mutex_unlock(&p->lock);
		memmove(buf, buf + at, have - at);
		have -= at;
	}
	free(buf);
}

/* As slowly as it can without a pause that is noticed. */
static bool drawl(struct peer *p, const struct kvmi_handshake *hello)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	static const char zero[256];
	size_t left = hello->size - sizeof(*hello);

	if (send(p->fd, hello, sizeof(*hello), MSG_NOSIGNAL) != (ssize_t)sizeof(*hello))
		return false;
	while (left > sizeof(zero)) {
		if (send(p->fd, zero, sizeof(zero), MSG_NOSIGNAL) < 0)
			return false;
		left -= sizeof(zero);
		nanosleep(&pause, NULL);
	}
	return send(p->fd, zero, left, MSG_NOSIGNAL) == (ssize_t)left;
}

static bool shake_hands(struct peer *p)
{
	struct kvmi_handshake hello = {
		.size = p->generation == KVMI_V7 ? KVMI_HANDSHAKE_V7 : KVMI_HANDSHAKE_V12,
		.name = "peer", .max_gpa = PEER_MEMORY,
	};
	struct kvmi_answer answer;

	if (p->drawls) {
		hello.size = KVMI_HANDSHAKE_MOST;
		if (!drawl(p, &hello))
			return false;
	} else if (send(p->fd, &hello, hello.size, MSG_NOSIGNAL) != (ssize_t)hello.size) {
		return false;
	}
	if (recv(p->fd, &answer, sizeof(answer), MSG_WAITALL) != (ssize_t)sizeof(answer))
		return false;
	memcpy(p->cookie, answer.cookie, sizeof(p->cookie));
	return answer.size == sizeof(answer);
}

/* As QEMU with a short reconnect=. */
static bool connect_to(struct peer *p)
{
	const struct timespec pause = { .tv_nsec = 2000000 };
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	for (int i = 0; i < 10000; i++) {
		snprintf(address.sun_path, sizeof(address.sun_path), "%s", p->path);
		p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (!connect(p->fd, (struct sockaddr *)&address, sizeof(address)))
			return true;
		close(p->fd);
		p->fd = -1;
		nanosleep(&pause, NULL);
	}
	return false;
}

static void *work(void *opaque)
{
	struct peer *p = opaque;

	if (connect_to(p) && shake_hands(p))
		serve(p);
	return NULL;
}

static uint8_t *make_memory(struct peer *p)
{
	p->template_fd = open(p->template, O_RDWR | O_CLOEXEC);
	return mmap(NULL, PEER_MEMORY, PROT_READ | PROT_WRITE, p->shares ? MAP_SHARED : MAP_PRIVATE,
		    p->template_fd, 0);
}

static void drop_memory(struct peer *p)
{
	if (p->template) {
		munmap(p->memory, PEER_MEMORY);
		close(p->template_fd);
	} else {
		free(p->memory);
	}
}

void peer_start(struct peer *p, enum kvmi_generation generation, const char *path)
{
	p->generation = generation;
	p->path = path;
	p->fd = -1;
	p->memory = p->template ? make_memory(p) : calloc(1, PEER_MEMORY);
	p->out = malloc(PEER_OUT);
	memset(p->access, 7, sizeof(p->access));
	for (unsigned i = 0; i < PEER_VCPUS; i++)
		p->vcpu[i].gprs = (struct kvmi_gprs){ .rip = 0x1000 + i, .rax = i, .rflags = 2 };
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->change, NULL);
	pthread_create(&p->thread, NULL, work, p);
}

void peer_stop(struct peer *p)
{
	if (p->fd >= 0)
		shutdown(p->fd, SHUT_RDWR);
	pthread_join(p->thread, NULL);
	if (p->fd >= 0)
		close(p->fd);
	pthread_cond_destroy(&p->change);
	pthread_mutex_destroy(&p->lock);
	free(p->out);
	drop_memory(p);
}
