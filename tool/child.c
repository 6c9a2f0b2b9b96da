/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "term.h"

#define GRACE_NS UINT64_C(2000000000)

/* In the child; on failure tells errno through the pipe `report`. */
static void become(char *const argv[], int out, int report, pid_t parent)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), err;

	/* Its own group: Ctrl-C is for this program, which then ends the child. */
	setpgid(0, 0);
	/* A parent that died before prctl() kills nobody. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent && null >= 0 &&
	    dup2(null, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 &&
	    dup2(out, STDERR_FILENO) >= 0)
		execvp(argv[0], argv);
	err = errno;
	if (write(report, &err, sizeof(err)) < 0)
		_exit(126);
	_exit(127);
}

/* 0 once the program runs, or -errno of why it does not. */
static int await_exec(int report)
{
	int err = 0;
	ssize_t n;

	do
		n = read(report, &err, sizeof(err));
	while (n < 0 && errno == EINTR);
	return n == sizeof(err) ? -err : 0;
}

int child_start(struct child *child, char *const argv[])
{
	int out[2], report[2], ret;
	pid_t parent = getpid();

	*child = (struct child){ .fd = -1 };
	if (pipe2(out, O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(report, O_CLOEXEC) < 0) {
		ret = -errno;
		close(out[0]);
		close(out[1]);
		return ret;
	}
	child->pid = fork();
	if (child->pid == 0)
		become(argv, out[1], report[1], parent);
	ret = child->pid < 0 ? -errno : 0;
	close(out[1]);
	close(report[1]);
	child->fd = out[0];
	fcntl(child->fd, F_SETFL, O_NONBLOCK);
	if (!ret)
		ret = await_exec(report[0]);
	close(report[0]);
	if (ret)
		child_end(child);
	return ret;
}

bool child_ended(struct child *child)
{
	if (child->pid > 0 && waitpid(child->pid, &child->status, WNOHANG) == child->pid)
		child->pid = 0;
	return child->pid <= 0;
}

void child_end(struct child *child)
{
	uint64_t end = now_ns() + GRACE_NS;

	if (!child_ended(child))
		kill(child->pid, SIGTERM);
	while (!child_ended(child) && now_ns() < end)
		poll(NULL, 0, 10);
	if (child->pid > 0) {
		kill(child->pid, SIGKILL);
		waitpid(child->pid, &child->status, 0);
		child->pid = 0;
	}
	if (child->fd >= 0)
		close(child->fd);
	child->fd = -1;
}

ssize_t child_read(struct child *child, char *buf, size_t size, int ms)
{
	struct pollfd p = { .fd = child->fd, .events = POLLIN };
	ssize_t n;

	if (poll(&p, 1, ms) <= 0)
		return 0;
	n = read(child->fd, buf, size);
	if (n > 0)
		return n;
	return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}
