/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "attach.h"
#include "common/message.h"
#include "protocol/agent_protocol.h"

#define PATIENCE_MS 60000	/* on a host that is very busy */

static int dial(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (strlen(path) >= sizeof(address.sun_path))
		errno = ENAMETOOLONG;
	else if (fd >= 0) {
		strcpy(address.sun_path, path);
		if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
			return fd;
	}
	fail("no agent answers at %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

static int converse(int fd)
{
	struct scry_agent_hello hello = {
		.header.type = SCRY_AGENT_HELLO, .magic = SCRY_AGENT_MAGIC,
		.version = SCRY_AGENT_VERSION, .purpose = SCRY_AGENT_LEAVE, .build = SCRY_VERSION,
	};
	struct pollfd answer = { .fd = fd, .events = POLLIN };
	struct scry_agent_failure failure = { 0 };

	if (send(fd, &hello, sizeof(hello), MSG_NOSIGNAL) < 0 || poll(&answer, 1, PATIENCE_MS) != 1 ||
	    recv(fd, &failure, sizeof(failure), 0) < (ssize_t)sizeof(failure.header))
		return fail("the agent does not answer: see 'scry list'");
	failure.text[sizeof(failure.text) - 1] = '\0';
	make_printable(failure.text);
	return failure.header.status ? fail("%s", failure.text) : 0;
}

int leave(const char *socket)
{
	int fd = dial(socket), ret;

	if (fd < 0)
		return EXIT_FAILURE;
	ret = converse(fd);
	close(fd);
	return ret;
}
