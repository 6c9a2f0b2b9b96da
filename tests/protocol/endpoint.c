/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "endpoint.h"

void endpoint_must(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	abort();
}

int endpoint_memfd(size_t size)
{
	int fd = memfd_create("endpoint", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	endpoint_must(fd >= 0 && !ftruncate(fd, (off_t)size), "memfd");
	return fd;
}

static void *map_all(int fd, size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	endpoint_must(p != MAP_FAILED, "mmap");
	return p;
}

static void drop_shared(struct endpoint *e)
{
	if (!e->shared)
		return;
	munmap(e->shared, e->shared_size);
	close(e->shared_fd);
	close(e->bell[0]);
	close(e->bell[1]);
	e->shared = NULL;
}

/* A new shared area for each client. */
static void make_shared(struct endpoint *e)
{
	drop_shared(e);
	e->shared_size = SCRY_AGENT_SHARED_HEAD + e->vcpus * SCRY_AGENT_SLOT_SIZE;
	e->shared_fd = endpoint_memfd(e->shared_size);
	endpoint_must(!fcntl(e->shared_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), "seal");
	e->shared = map_all(e->shared_fd, e->shared_size);
	e->shared->life.owner = (uint32_t)getpid();
	e->shared->life.generation = 1;
	endpoint_must(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, e->bell), "socketpair");
	endpoint_must(send(e->bell[0], "", 1, 0) == 1, "send");
}

static void on_hello(struct endpoint *e, const struct scry_agent_hello *hello, struct packet *r)
{
	r->len = sizeof(r->welcome);
	r->welcome.magic = SCRY_AGENT_MAGIC;
	r->welcome.version = SCRY_AGENT_VERSION;
	r->welcome.vcpus = e->vcpus;
	r->welcome.pid = getpid();
	r->welcome.ram_bytes = ENDPOINT_RAM;
	strcpy(r->welcome.build, "test");
	strcpy(r->welcome.name, "endpoint");
	strcpy(r->welcome.hypervisor, "nothing at all");
	if (hello->purpose != SCRY_AGENT_ATTACH)
		return;
	make_shared(e);
	r->welcome.shared_size = e->shared_size;
	r->fds[r->fd_count++] = e->shared_fd;
	r->fds[r->fd_count++] = e->bell[1];
}

static void on_caps(struct packet *r)
{
	r->len = sizeof(r->caps);
	for (int i = 0; i < SCRY_CAP_COUNT; i++)
		r->caps.cap[i].supported = 1;
}

static void on_map(struct endpoint *e, struct packet *r)
{
	uintptr_t host = (uintptr_t)e->ram;

	r->len = sizeof(r->map);
	r->map.count = 3;
	r->map.files = 1;
	memcpy(&r->map.life, &e->shared->life, sizeof(r->map.life));
	r->map.region[0] = (struct scry_agent_region){ .size = ENDPOINT_SHARED, .host = host };
	r->map.region[1] = (struct scry_agent_region){ .gpa = ENDPOINT_SHARED, .file = -1,
						       .size = ENDPOINT_RAM - ENDPOINT_SHARED,
						       .host = host + ENDPOINT_SHARED };
	r->map.region[2] = (struct scry_agent_region){ .gpa = ENDPOINT_FAR, .size = 4096,
						       .file = -1 };
	r->fds[r->fd_count++] = e->ram_fd;
}

/* The far page has the first page's bytes. */
static void on_memory(struct endpoint *e, const struct scry_agent_memory *m, struct packet *r)
{
	uint64_t offset = m->gpa < ENDPOINT_FAR ? m->gpa : m->gpa - ENDPOINT_FAR;

	endpoint_must(m->len <= SCRY_AGENT_CHUNK && offset + m->len <= ENDPOINT_RAM, "request");
	r->memory.gpa = m->gpa;
	r->memory.len = m->len;
	r->len = sizeof(r->memory);
	if (m->header.type == SCRY_AGENT_WRITE) {
		memcpy(e->ram + offset, m->data, m->len);
		return;
	}
	memcpy(r->memory.data, e->ram + offset, m->len);
	r->len += m->len;
}

static void on_value(struct endpoint *e, const struct scry_agent_value *v, struct packet *r)
{
	bool stop = v->header.type == SCRY_AGENT_STOP;

	r->len = sizeof(r->value);
	r->value.value = 1;
	if ((stop || v->header.type == SCRY_AGENT_GO) && e->stop)
		e->stop(e, (unsigned)v->value, stop);
}

static void answer(struct endpoint *e, const void *request, struct packet *r)
{
	const struct scry_agent_header *header = request;

	r->fate = SEND;
	r->fd_count = 0;
	memset(r->bytes, 0, sizeof(r->map));
	r->header.type = header->type;
	switch (header->type) {
	case SCRY_AGENT_HELLO:
		on_hello(e, request, r);
		break;
	case SCRY_AGENT_CAPS:
		on_caps(r);
		break;
	case SCRY_AGENT_MAP:
		on_map(e, r);
		break;
	case SCRY_AGENT_READ:
	case SCRY_AGENT_WRITE:
		on_memory(e, request, r);
		break;
	default:
		on_value(e, request, r);
	}
	if (e->spoil)
		e->spoil(e, r);
}

static void send_packet(int fd, struct packet *r)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(ENDPOINT_FDS * sizeof(int))];
	} control = { .bytes = { 0 } };
	struct iovec iov = { r->bytes, r->len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (r->fd_count) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(r->fd_count * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(r->fd_count * sizeof(int));
		memcpy(CMSG_DATA(&control.header), r->fds, r->fd_count * sizeof(int));
	}
	/* A client that has hung up meanwhile is noticed at the next request. */
	if (sendmsg(fd, &msg, MSG_NOSIGNAL) < 0)
		return;
}

static void serve_client(struct endpoint *e, int fd, void *request, struct packet *reply)
{
	while (recv(fd, request, sizeof(*reply), 0) > 0) {
		e->requests++;
		answer(e, request, reply);
		if (reply->fate == HANG_UP)
			break;
		if (reply->fate == SEND)
			send_packet(fd, reply);
	}
}

static void begin(struct endpoint *e)
{
	endpoint_must(!listen(e->listener, 4), "listen");
	close(e->folder);
}

static void *run(void *opaque)
{
	struct endpoint *e = opaque;
	struct packet *reply = malloc(sizeof(*reply));
	void *request = malloc(sizeof(*reply));

	endpoint_must(reply && request, "malloc");
	if (e->starts_late) {
		usleep(100000);
		begin(e);
	}
	for (;;) {
		int fd = accept4(e->listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			break;
		e->client = fd;
		serve_client(e, fd, request, reply);
		if (e->hung_up)
			e->hung_up(e);
		e->client = -1;
		close(fd);
	}
	free(request);
	free(reply);
	return NULL;
}

void endpoint_start(struct endpoint *e)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	strcpy(e->dir, "/tmp/scry-endpoint-XXXXXX");
	endpoint_must(mkdtemp(e->dir), "mkdtemp");
	snprintf(e->path, sizeof(e->path), "%s/agent.sock", e->dir);
	snprintf(e->uri, sizeof(e->uri), "qemu:%s", e->path);
	strcpy(address.sun_path, e->path);
	e->ram_fd = endpoint_memfd(ENDPOINT_RAM);
	e->ram = map_all(e->ram_fd, ENDPOINT_RAM);
	for (uint64_t i = 0; i < ENDPOINT_RAM; i++)
		e->ram[i] = (unsigned char)(i ^ i >> 8 ^ i >> 16);
	e->client = -1;
	e->folder = open(e->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	endpoint_must(e->folder >= 0 && !flock(e->folder, LOCK_EX), "folder");
	e->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	endpoint_must(e->listener >= 0, "socket");
	endpoint_must(!bind(e->listener, (struct sockaddr *)&address, sizeof(address)), "bind");
	if (!e->starts_late)
		begin(e);
	endpoint_must(!pthread_create(&e->thread, NULL, run, e), "thread");
}

unsigned endpoint_open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	endpoint_must(d, "/proc/self/fd");
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

void endpoint_end(struct endpoint *e)
{
	int client = e->client;

	shutdown(e->listener, SHUT_RDWR);
	if (client >= 0)
		shutdown(client, SHUT_RDWR);
	pthread_join(e->thread, NULL);
	close(e->listener);
	drop_shared(e);
	munmap(e->ram, ENDPOINT_RAM);
	close(e->ram_fd);
	unlink(e->path);
	rmdir(e->dir);
}
