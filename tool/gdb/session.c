/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../common/message.h"
#include "../common/stop.h"
#include "gdb.h"

static bool send_all(struct gdb *g, const char *data, size_t len)
{
	while (g->fd >= 0 && len) {
		ssize_t n = send(g->fd, data, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR && !stop_asked())
			continue;
		if (n <= 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

bool gdb_send(struct gdb *g)
{
	g->sent = out_frame(&g->out);
	return send_all(g, g->out.data, g->sent);
}

bool gdb_receive(struct gdb *g)
{
	size_t room;
	char *to = packet_room(&g->in, &room);
	ssize_t n = recv(g->fd, to, room, MSG_DONTWAIT);

	if (n > 0)
		packet_came(&g->in, (size_t)n);
	return n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN));
}

static int begin_failed(struct gdb *g)
{
	snprintf(g->why, sizeof(g->why), "%s", scry_errmsg());
	return -1;
}

static int choose_process(struct gdb *g, const struct gdb_opts *opts)
{
	if (!opts->pid)
		return 0;
	if (scry_linux_open(g->vm, &g->os) < 0 || scry_linux_task(g->os, opts->pid, &g->task) < 0)
		return begin_failed(g);
	if (g->task.mm)
		return scry_linux_task_as(g->os, &g->task, &g->task_as) < 0 ? begin_failed(g) : 0;
	snprintf(g->why, sizeof(g->why), "PID %d (%.16s) %s", opts->pid, g->task.comm, g->task.kernel ?
		 "is a kernel thread, without memory of its own: leave --pid out, the kernel's memory "
		 "is that of every vCPU" : "has ended, and has no memory any more");
	return -1;
}

int gdb_begin(struct gdb *g, const struct gdb_opts *opts)
{
	g->fd = -1;
	g->signal = GDB_SIGTRAP;
	g->listener = g->other = -1;
	if (scry_open(&g->vm, opts->uri, NULL) < 0)
		return begin_failed(g);
	g->vcpus = (unsigned)scry_vcpu_count(g->vm);
	if (g->vcpus > GDB_VCPUS)
		g->vcpus = GDB_VCPUS;
	g->stops = scry_cap(g->vm, SCRY_CAP_PAUSE, NULL) == 1;
	if (g->stops && scry_pause(g->vm) < 0)
		begin_failed(g);
	else if (!choose_process(g, opts))
		return 0;
	gdb_end(g);
	return -1;
}

void gdb_end(struct gdb *g)
{
	if (g->other >= 0)
		close(g->other);
	gdb_forget_as(g);
	scry_as_free(g->task_as);
	scry_linux_close(g->os);
	/* With the handle all traps and pauses end: the guest goes on. */
	scry_close(g->vm);
}

/* Carry out what has come; false: the session is at its end. */
static bool obey(struct gdb *g)
{
	enum packet_kind kind;
	char *data;
	size_t len;

	while (!g->ends && (kind = packet_next(&g->in, &data, &len)) != PACKET_NONE) {
		if (kind == PACKET_AGAIN && !send_all(g, g->out.data, g->sent))
			return false;
		if (kind == PACKET_BAD && !g->no_ack && !send_all(g, "-", 1))
			return false;
		if (kind != PACKET_DATA)
			continue;
		if (!g->no_ack && !send_all(g, "+", 1))
			return false;
		if (!gdb_command(g, data, len) || !gdb_send(g))
			return false;
	}
	return !g->ends;
}

/* While it stands still nothing else would tell. */
static bool has_ended(struct gdb *g)
{
	struct scry_regs regs;

	if (!g->vcpus || scry_regs_get(g->vm, 0, &regs) != SCRY_E_GONE)
		return false;
	gdb_vm_ended(g);
	return true;
}

void gdb_session(struct gdb *g)
{
	while (!stop_asked())
		if (!gdb_wait(g, -1, 200) ? has_ended(g) : !gdb_receive(g) || !obey(g))
			return;
}
