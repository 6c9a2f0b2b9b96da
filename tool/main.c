/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <scry/scry.h>

#include "common/command.h"
#include "common/nearest.h"
#include "common/term.h"

/* All commands, as the help lists them: cmd_NAME in cmd_NAME.c. */
#define COMMANDS(X) \
	X(run) X(attach) X(detach) X(list) X(doctor) X(info) X(caps) \
	X(regs) X(read) X(write) X(translate) \
	X(pause) X(resume) X(trace) X(pt) X(dump) X(gdb) \
	X(ps) X(tree) X(modules) X(maps) X(files) X(dmesg) X(syms) X(type) X(syscalls) \
	X(demo)

#define DECLARE(name) extern const struct command cmd_##name;
COMMANDS(DECLARE)
#undef DECLARE

static const struct command *const commands[] = {
#define ENTRY(name) &cmd_##name,
	COMMANDS(ENTRY)
#undef ENTRY
	NULL,
};

static const struct command *find_command(const char *name)
{
	for (const struct command *const *c = commands; *c; c++)
		if (!strcmp((*c)->name, name))
			return *c;
	return NULL;
}

static int unknown_command(const char *name)
{
	struct nearest nearest = nearest_to(name);

	for (const struct command *const *c = commands; *c; c++)
		nearest_try(&nearest, (*c)->name);
	if (nearest.found)
		fail("there is no command '%s': did you mean '%s'?", name, nearest.found);
	else
		fail("there is no command '%s': 'scry help' lists all", name);
	return EXIT_USAGE;
}

static void print_overview(void)
{
	printf("scry: look into a running virtual machine from the outside, and steer it\n\n"
	       "Usage:\n"
	       "  scry COMMAND [OPTIONS] [VM] ...\n"
	       "  scry help [COMMAND]\n"
	       "  scry --version\n\n"
	       "Commands:\n");
	for (const struct command *const *c = commands; *c; c++)
		printf("  %s%-10s%s %s\n", colour(BOLD), (*c)->name, colour(PLAIN), (*c)->summary);
	printf("\nVM is a name as in 'scry list', or qemu:NAME, qemu:PID, qemu:/path/agent.sock,\n"
	       "kvmi:/path.sock, or file:/path of a dump. Numbers may be like 0x1000, 4096, 4k or 2M.\n\n"
	       "Example:\n"
	       "  scry run --name test --kernel vmlinuz --append console=ttyS0\n"
	       "  scry trace test cr3 cpuid\n");
}

static int help(const char *name)
{
	const struct command *command;

	if (!name) {
		print_overview();
		return 0;
	}
	command = find_command(name);
	if (!command)
		return unknown_command(name);
	print_help(command);
	return 0;
}

static int dispatch(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : NULL;
	const struct command *command;

	if (!name) {
		fail("no command is given: 'scry help' lists them");
		return EXIT_USAGE;
	}
	if (!strcmp(name, "help") || !strcmp(name, "--help") || !strcmp(name, "-h"))
		return help(argc > 2 ? argv[2] : NULL);
	if (!strcmp(name, "--version") || !strcmp(name, "version")) {
		printf("scry %s (libscry %s)\n", SCRY_VERSION, scry_version());
		return 0;
	}
	command = find_command(name);
	if (!command)
		return unknown_command(name);
	return command->run(&(struct args){ .command = command, .argc = argc - 1,
					    .argv = argv + 1 });
}

/*
 * A descriptor 0 to 2 that is closed would be given to the next file opened.
 * Opened the wrong way round it still fails when it is used.
 */
static void fill_standard_fds(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 &&
		    open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
			_exit(EXIT_FAILURE);
}

int main(int argc, char **argv)
{
	int status;

	fill_standard_fds();
	signal(SIGXFSZ, SIG_IGN);	/* a limit on files is an error as any other */
	status = dispatch(argc, argv);
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	/* Who reads has gone, as in "| head": nothing to tell. */
	if (errno != EPIPE)
		fail("cannot write the output: %s", strerror(errno));
	return EXIT_FAILURE;
}
