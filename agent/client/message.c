/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "message.h"
#include "protocol/agent_protocol.h"

int message_send(int fd, const void *message, size_t len, const int *files, uint32_t count)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(SCRY_AGENT_FILES * sizeof(int))] = { 0 };
	struct iovec iov = { .iov_base = (void *)message, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (count) {
		struct cmsghdr *c = (struct cmsghdr *)control;

		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(c), files, count * sizeof(int));
	}
	/* A peer that does not read its replies is not waited for. */
	return sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len ? 0 : -1;
}

int message_fail(int fd, uint32_t type, int status, const char *text)
{
	struct scry_agent_failure failure = { .header = { .type = type, .status = status } };

	snprintf(failure.text, sizeof(failure.text), "%s", text);
	return message_send(fd, &failure, sizeof(failure), NULL, 0);
}
