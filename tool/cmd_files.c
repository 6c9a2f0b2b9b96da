/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "common/guest.h"

struct files {
	struct guest guest;
	struct scry_linux_task task;	/* whose files they are */
	struct listing list;
	bool all;
};

static const char *family_name(uint16_t family)
{
	return family == AF_INET ? "inet" : family == AF_INET6 ? "inet6" : family == AF_UNIX ? "unix" :
	       family == AF_NETLINK ? "netlink" : family == AF_PACKET ? "packet" : "other";
}

static const char *protocol_name(const struct scry_linux_file *file)
{
	switch (file->socket.protocol) {
	case IPPROTO_TCP: return "tcp";
	case IPPROTO_UDP: return "udp";
	case IPPROTO_ICMP: return "icmp";
	default: return family_name(file->socket.family);
	}
}

/* include/net/tcp_states.h */
static const char *state_name(uint8_t state)
{
	static const char *const names[] = {
		"", "established", "syn-sent", "syn-received", "fin-wait-1", "fin-wait-2",
		"time-wait", "closed", "close-wait", "last-ack", "listening", "closing",
	};

	return state < sizeof(names) / sizeof(names[0]) ? names[state] : "";
}

static const char *endpoint(char *buf, size_t size, uint16_t family, const uint8_t *address,
			    uint16_t port)
{
	char text[INET6_ADDRSTRLEN] = "?";

	inet_ntop(family, address, text, sizeof(text));
	snprintf(buf, size, family == AF_INET6 ? "[%s]:%u" : "%s:%u", text, port);
	return buf;
}

static bool is_inet(const struct scry_linux_file *file)
{
	return file->is_socket &&
	       (file->socket.family == AF_INET || file->socket.family == AF_INET6);
}

/* "tcp 10.0.2.15:22 -> 10.0.2.2:40000 established"; of all else its path. */
static char *describe(const struct scry_linux_file *file)
{
	char local[64], remote[64], text[512];

	if (!file->is_socket)
		return clean(file->path, SCRY_LINUX_PATH);
	if (is_inet(file)) {
		endpoint(local, sizeof(local), file->socket.family, file->socket.local,
			 file->socket.local_port);
		endpoint(remote, sizeof(remote), file->socket.family, file->socket.remote,
			 file->socket.remote_port);
		snprintf(text, sizeof(text), "%s %s%s%s %s", protocol_name(file), local,
			 file->socket.remote_port ? " -> " : "",
			 file->socket.remote_port ? remote : "", state_name(file->socket.state));
	} else {
		snprintf(text, sizeof(text), "%s %s %s", protocol_name(file), file->path,
			 file->socket.path);
	}
	text[strcspn(text, "\n")] = 0;
	while (text[0] && text[strlen(text) - 1] == ' ')
		text[strlen(text) - 1] = 0;
	return clean(text, sizeof(text));
}

static const char *mode_name(uint32_t flags)
{
	static const char *const names[] = { "r", "w", "rw", "-" };

	return flags & O_PATH ? "-" : names[flags & O_ACCMODE];
}

static void add_row(struct files *files, const struct scry_linux_file *file)
{
	char pid[16], fd[16], position[24], *text = describe(file);
	char *comm = clean(files->task.comm, sizeof(files->task.comm));

	snprintf(pid, sizeof(pid), "%d", files->task.tgid);
	snprintf(fd, sizeof(fd), "%d", file->fd);
	snprintf(position, sizeof(position), "%" PRIu64, file->position);
	table_row(files->list.table, pid, comm, fd, mode_name(file->flags), position, text);
	free(comm);
	free(text);
}

static void add_socket(struct json_object *o, const struct scry_linux_file *file)
{
	char text[64];

	json_add_string(o, "family", family_name(file->socket.family));
	json_add_number(o, "type", file->socket.type);
	json_add_number(o, "protocol", file->socket.protocol);
	json_add_number(o, "state", file->socket.state);
	if (is_inet(file)) {
		json_add_string(o, "local", endpoint(text, sizeof(text), file->socket.family,
						     file->socket.local, file->socket.local_port));
		json_add_string(o, "remote", endpoint(text, sizeof(text), file->socket.family,
						      file->socket.remote, file->socket.remote_port));
	}
	if (file->socket.path[0])
		json_add_text(o, "bound", file->socket.path);
}

static void add_json(struct files *files, const struct scry_linux_file *file)
{
	struct json_object *o = checked(json_object_new_object());

	json_add_number(o, "pid", (uint64_t)files->task.tgid);
	json_add_text(o, "comm", files->task.comm);
	json_add_number(o, "fd", (uint64_t)file->fd);
	json_add_string(o, "mode", mode_name(file->flags));
	json_add_number(o, "flags", file->flags);
	json_add_number(o, "position", file->position);
	json_add_number(o, "inode", file->inode);
	json_add_text(o, "path", file->path);
	if (file->is_socket)
		add_socket(o, file);
	json_object_array_add(files->list.array, o);
}

static int on_file(const struct scry_linux_file *file, void *opaque)
{
	struct files *files = opaque;

	if (files->list.table)
		add_row(files, file);
	else
		add_json(files, file);
	return 0;
}

static int on_task(const struct scry_linux_task *task, void *opaque)
{
	struct files *files = opaque;

	files->task = *task;
	return scry_linux_files(files->guest.os, task, on_file, files);
}

static int show(struct files *files, int32_t pid, bool json)
{
	static const struct column columns[] = {
		{ "PID", true }, { "COMM", false }, { "FD", true }, { "MODE", false },
		{ "POSITION", true }, { "FILE", false },
	};
	int ret;

	if (!files->all && guest_task(&files->guest, pid, &files->task))
		return EXIT_FAILURE;
	listing_begin(&files->list, json, columns, 6);
	ret = files->all ? scry_linux_tasks(files->guest.os, 0, on_task, files) :
			   scry_linux_files(files->guest.os, &files->task, on_file, files);
	guest_release(&files->guest);
	return listing_end(&files->list, ret, "no file is open");
}

static int run(struct args *args)
{
	struct files files = { 0 };
	bool json = false;
	const char *uri, *word;
	int32_t pid = 0;
	int ret;

	while (next_option(args) >= 0)
		json = true;
	uri = next_word(args, "VM");
	word = next_word_or_null(args);
	files.all = !word;
	if (word)
		pid = pid_arg(args, word);
	no_more_words(args);
	if (guest_open(&files.guest, uri))
		return EXIT_FAILURE;
	ret = show(&files, pid, json);
	guest_close(&files.guest);
	return ret;
}

const struct command cmd_files = {
	.name = "files",
	.summary = "open files and sockets of a Linux guest's processes",
	.usage = "[--json] VM [PID]",
	.about = "Lists the open files of a process of a Linux guest, or of all: their path and\n"
		 "position; of sockets the addresses of both ends and their state.",
	.opts = (const struct opt[]){ OPT_JSON, { 0 } },
	.example = "scry files web 1\n"
		   "scry files web --json | jq '.[] | select(.family == \"inet\")'",
	.run = run,
};
