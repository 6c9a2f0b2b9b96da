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

/* The ends of a child's pipes that it has itself; -1 = none. */
struct ends {
	int in, out, report;
};

/* In the child; on failure tells errno through the pipe `report`. */
static void become(char *const argv[], const struct ends *ends, pid_t parent)
{
	int in = ends->in < 0 ? open("/dev/null", O_RDONLY | O_CLOEXEC) : ends->in, err;

	/* An ignored signal would stay ignored. */
	signal(SIGPIPE, SIG_DFL);
	/* Its own group: Ctrl-C is for this program, which then ends the child. */
	setpgid(0, 0);
	/* A parent that died before prctl() kills nobody. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent && in >= 0 &&
	    dup2(in, STDIN_FILENO) >= 0 && dup2(ends->out, STDOUT_FILENO) >= 0 &&
	    dup2(ends->out, STDERR_FILENO) >= 0)
		execvp(argv[0], argv);
	err = errno;
	if (write(ends->report, &err, sizeof(err)) < 0)
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

/* A pipe; on failure both ends are -1. */
static int make_pipe(int *read_end, int *write_end)
{
	int fds[2];

	*read_end = *write_end = -1;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	*read_end = fds[0];
	*write_end = fds[1];
	return 0;
}

static void close_if(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int fork_and_exec(struct child *child, char *const argv[], struct ends *ends, int report)
{
	pid_t parent = getpid();
	int ret;

	child->pid = fork();
	if (child->pid == 0)
		become(argv, ends, parent);
	ret = child->pid < 0 ? -errno : 0;
	close_if(&ends->report);
	return ret ? ret : await_exec(report);
}

int child_start(struct child *child, char *const argv[], enum child_input input)
{
	struct ends ends = { -1, -1, -1 };
	int report = -1, ret;

	*child = (struct child){ .fd = -1, .in = -1 };
	ret = make_pipe(&child->fd, &ends.out);
	if (!ret)
		ret = make_pipe(&report, &ends.report);
	if (!ret && input == CHILD_INPUT)
		ret = make_pipe(&ends.in, &child->in);
	if (!ret) {
		fcntl(child->fd, F_SETFL, O_NONBLOCK);
		ret = fork_and_exec(child, argv, &ends, report);
	}
	close_if(&ends.in);
	close_if(&ends.out);
	close_if(&ends.report);
	close_if(&report);
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
	close_if(&child->fd);
	close_if(&child->in);
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
