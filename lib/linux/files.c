/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Open files, and what sockets are connected to. */
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "os.h"

#define FDS_MOST  (1u << 20)
#define FDS_CHUNK 512u
#define AF_UNIX_NAME (sizeof(struct sockaddr_un) - offsetof(struct sockaddr_un, sun_path))

struct visit {
	scry_linux_file_fn fn;
	void *opaque;
	uint32_t steps;			/* of paths, that may still be gone */
	char path[SCRY_LINUX_PATH];
	char socket_path[AF_UNIX_NAME + 2];
};

static uint16_t big_endian(uint64_t value)
{
	return __builtin_bswap16((uint16_t)value);
}

static int take_addresses(struct scry_linux *os, uint64_t sk, struct scry_linux_file *to)
{
	bool v6 = to->socket.family == AF_INET6;
	enum os_member_id local = v6 ? OS_SOCK_V6_RCV_SADDR : OS_SOCK_RCV_SADDR;
	enum os_member_id remote = v6 ? OS_SOCK_V6_DADDR : OS_SOCK_DADDR;
	uint64_t num = 0, dport = 0;
	int ret = os_get(os, sk, OS_SOCK_NUM, &num);

	if (!ret)
		ret = os_get(os, sk, OS_SOCK_DPORT, &dport);
	if (!ret)
		ret = os_need(os, local);
	if (!ret)
		ret = os_read(os, os_at(os, sk, local), to->socket.local, v6 ? 16 : 4);
	if (!ret)
		ret = os_need(os, remote);
	if (!ret)
		ret = os_read(os, os_at(os, sk, remote), to->socket.remote, v6 ? 16 : 4);
	to->socket.local_port = (uint16_t)num;
	to->socket.remote_port = big_endian(dport);
	return ret;
}

/* The name that a unix socket is bound to: '@' for the 0 byte of an abstract one. */
static int take_unix(struct scry_linux *os, uint64_t sk, char *path, size_t size)
{
	uint64_t address, len;
	int ret = os_get(os, sk, OS_UNIX_ADDR, &address);

	if (ret < 0 || !address)
		return ret;
	ret = os_get(os, address, OS_UNIX_ADDR_LEN, &len);
	if (!ret)
		ret = os_need(os, OS_UNIX_ADDR_NAME);
	if (ret < 0)
		return ret;
	len &= 0xffffffff;
	if (len <= offsetof(struct sockaddr_un, sun_path))
		return 0;
	len -= offsetof(struct sockaddr_un, sun_path);
	if (len >= size)
		return os_damaged("a socket's address", address);
	ret = os_read(os, os_at(os, address, OS_UNIX_ADDR_NAME) +
			      offsetof(struct sockaddr_un, sun_path), path, len);
	path[len] = 0;
	for (size_t i = 0; !path[0] && i < len; i++)
		if (!path[i])
			path[i] = '@';
	return ret;
}

int os_socket(struct scry_linux *os, uint64_t file, struct scry_linux_file *to, char *path,
	      size_t size)
{
	uint64_t socket, sk, type, family, protocol, state;
	int ret = os_get(os, file, OS_FILE_PRIVATE, &socket);

	path[0] = 0;
	to->socket.path = path;
	if (!ret)
		ret = os_get(os, socket, OS_SOCKET_TYPE, &type);
	if (!ret)
		ret = os_get(os, socket, OS_SOCKET_SK, &sk);
	if (ret < 0 || !sk)
		return ret;
	ret = os_get(os, sk, OS_SOCK_FAMILY, &family);
	if (!ret)
		ret = os_get(os, sk, OS_SOCK_PROTOCOL, &protocol);
	if (!ret)
		ret = os_get(os, sk, OS_SOCK_STATE, &state);
	if (ret < 0)
		return ret;
	to->is_socket = 1;
	to->socket.family = (uint16_t)family;
	to->socket.type = (uint16_t)type;
	to->socket.protocol = (uint16_t)protocol;
	to->socket.state = (uint8_t)state;
	if (family == AF_INET || family == AF_INET6)
		return take_addresses(os, sk, to);
	return family == AF_UNIX ? take_unix(os, sk, path, size) : 0;
}

static int visit_file(struct scry_linux *os, struct visit *v, uint32_t fd, uint64_t file)
{
	struct scry_linux_file to = { .fd = (int32_t)fd, .path = v->path, .socket = { .path = "" } };
	uint64_t inode, flags, mode;
	int ret = os_get(os, file, OS_FILE_FLAGS, &flags);

	if (!ret)
		ret = os_get(os, file, OS_FILE_POS, &to.position);
	if (!ret)
		ret = os_get(os, file, OS_FILE_INODE, &inode);
	if (!ret)
		ret = os_get(os, inode, OS_INODE_MODE, &mode);
	if (!ret)
		ret = os_get(os, inode, OS_INODE_NUMBER, &to.inode);
	if (!ret)
		ret = os_file_path(os, file, v->path, sizeof(v->path), &v->steps);
	if (!ret && S_ISSOCK(mode) && !strncmp(v->path, "socket:", 7))
		ret = os_socket(os, file, &to, v->socket_path, sizeof(v->socket_path));
	if (ret < 0)
		return ret;
	to.flags = (uint32_t)flags;
	to.mode = (uint32_t)mode;
	return v->fn(&to, v->opaque);
}

static int visit_fds(struct scry_linux *os, struct visit *v, uint64_t fds, uint32_t count)
{
	uint64_t chunk[FDS_CHUNK];
	int ret = 0;

	for (uint32_t fd = 0; fd < count && !ret; fd++) {
		uint32_t left = count - fd;

		if (fd % FDS_CHUNK == 0)
			ret = os_read(os, fds + fd * UINT64_C(8), chunk,
				      (left < FDS_CHUNK ? left : FDS_CHUNK) * 8);
		if (!ret && chunk[fd % FDS_CHUNK])
			ret = visit_file(os, v, fd, chunk[fd % FDS_CHUNK]);
	}
	return ret;
}

int scry_linux_files(struct scry_linux *os, const struct scry_linux_task *task,
		     scry_linux_file_fn fn, void *opaque)
{
	struct visit v = { .fn = fn, .opaque = opaque, .steps = OS_PATH_STEPS };
	uint64_t files, table, count, fds;
	int ret = os_get(os, task->address, OS_TASK_FILES, &files);

	if (ret < 0 || !files)		/* it ends */
		return ret;
	ret = os_get(os, files, OS_FILES_FDT, &table);
	if (!ret)
		ret = os_get(os, table, OS_FDT_MAX, &count);
	if (!ret)
		ret = os_get(os, table, OS_FDT_FD, &fds);
	if (ret < 0)
		return ret;
	if (count > FDS_MOST)
		return os_damaged("a table of files", table);
	return visit_fds(os, &v, fds, (uint32_t)count);
}
