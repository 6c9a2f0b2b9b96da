/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/command.h"
#include "common/target.h"

#define WAIT_MS 5000

/* Is the process a "scry pause"?  By its command line's first two words. */
static bool is_pause(int pid)
{
	char path[64], text[4096], *name;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 2);
	close(fd);
	if (n <= 0)
		return false;
	/* Two ends, so that a second word can be looked for whatever was read. */
	text[n] = text[n + 1] = 0;
	name = strrchr(text, '/');
	return !strcmp(name ? name + 1 : text, "scry") && !strcmp(text + strlen(text) + 1, "pause");
}

static int end_process(const struct vm_found *vm, int pidfd)
{
	struct pollfd ended = { .fd = pidfd, .events = POLLIN };

	if (syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0) < 0)
		return fail("cannot end the 'scry pause' (PID %d) that holds VM %s: %s",
			    vm->client_pid, vm->name, strerror(errno));
	if (poll(&ended, 1, WAIT_MS) != 1)
		return fail("the 'scry pause' (PID %d) that holds VM %s did not end: try 'kill -9 "
			    "%d'", vm->client_pid, vm->name, vm->client_pid);
	printf("VM %s goes on\n", vm->name);
	return 0;
}

/* What holds the process stays the same one from the look at it to the signal. */
static int end_pause(const struct vm_found *vm)
{
	int pidfd = (int)syscall(SYS_pidfd_open, vm->client_pid, 0), ret;

	if (pidfd < 0)
		return fail("cannot reach VM %s's client, PID %d: %s", vm->name, vm->client_pid,
			    strerror(errno));
	if (is_pause(vm->client_pid))
		ret = end_process(vm, pidfd);
	else
		ret = fail("VM %s is not held by 'scry pause': its client is PID %d, which has to "
			   "let it go on itself, or to end", vm->name, vm->client_pid);
	close(pidfd);
	return ret;
}

static int resume(struct args *args)
{
	struct vm_found vm;
	const char *word;
	int ret;

	next_option(args);
	word = next_word(args, "VM");
	no_more_words(args);
	if (!strncmp(word, "file:", 5))
		return fail("%s is a dump, which stands still: there is nothing to resume", word);
	ret = find_vm(word, &vm);
	if (ret < 0)
		return fail_lib();
	if (!ret)
		return fail("there is no VM '%s': see 'scry list'", word);
	if (!vm.client_pid)
		return fail("VM %s is not paused by scry: no client is attached to it", vm.name);
	return end_pause(&vm);
}

const struct command cmd_resume = {
	.name = "resume",
	.summary = "end the 'scry pause' that holds a VM",
	.usage = "VM",
	.about = "A pause lasts as long as the program that made it is attached. This ends the\n"
		 "'scry pause' that holds the VM, from another terminal; any other client is\n"
		 "left alone.",
	.opts = (const struct opt[]){ { 0 } },
	.example = "scry resume web",
	.run = resume,
};
