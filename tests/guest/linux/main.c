/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The only process of the tests' Linux guest.  What it does is chosen by
 * scry.mode= on the kernel's command line; it also obeys commands, a line
 * each, on the console.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include "guest.h"

static void load_module(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (syscall(SYS_finit_module, fd, "", 0) < 0)
		perror(path);
	close(fd);
}

static void no_echo(void)
{
	struct termios t;

	if (tcgetattr(0, &t) < 0)
		return;
	t.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(0, TCSANOW, &t);
}

int main(int argc, char **argv)
{
	char mode[32];

	if (argc > 2 && !strcmp(argv[1], "--sleep"))
		return sleep_with_open_files();

	mount("proc", "/proc", "proc", 0, NULL);
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	load_module("/msr.ko");
	no_echo();
	boot_option("scry.mode", mode, sizeof(mode));
	return mode_run(mode[0] ? mode : "idle");
}
