/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"
#include "kvmi_echo.h"
#include "processor.h"

/* Until the other end is closed. */
static void be_echo(int fd)
{
	char buf[ECHO_EVENT] = { 0 };

	if (processor_stay(0, true) < 0)
		_exit(1);
	while (send(fd, buf, ECHO_EVENT, MSG_NOSIGNAL) == (ssize_t)ECHO_EVENT &&
	       recv(fd, buf, ECHO_REPLY, MSG_WAITALL) == (ssize_t)ECHO_REPLY)
		;
	_exit(0);
}

int echo_start(void)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		return bench_fail("no sockets to be had");
	pid = fork();
	if (!pid) {
		close(pair[0]);
		be_echo(pair[1]);
	}
	close(pair[1]);
	if (pid > 0)
		return pair[0];
	close(pair[0]);
	return bench_fail("cannot start another process");
}

double echo_ns(int fd, unsigned rounds)
{
	char buf[ECHO_EVENT] = { 0 };
	double start = bench_now();

	for (unsigned i = 0; i < rounds; i++)
		if (recv(fd, buf, ECHO_EVENT, MSG_WAITALL) != (ssize_t)ECHO_EVENT ||
		    send(fd, buf, ECHO_REPLY, MSG_NOSIGNAL) != (ssize_t)ECHO_REPLY)
			return bench_fail("the echo has ended");
	return (bench_now() - start) * 1e9 / rounds;
}
