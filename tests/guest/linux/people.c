/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Processes of all kinds for the suite os: what they are is then asked of /proc. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

static void *sleep_on(void *name)
{
	prctl(PR_SET_NAME, name);
	for (;;)
		pause();
	return NULL;
}

static void loopback_up(void)
{
	struct ifreq r = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	ioctl(fd, SIOCSIFFLAGS, &r);
	close(fd);
}

static void open_inet(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(4242),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_port = htons(5353),
				   .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);

	bind(listener, (struct sockaddr *)&a, sizeof(a));
	listen(listener, 5);
	connect(client, (struct sockaddr *)&a, sizeof(a));
	accept(listener, NULL, NULL);
	bind(socket(AF_INET6, SOCK_DGRAM, 0), (struct sockaddr *)&a6, sizeof(a6));
}

static void open_unix(void)
{
	struct sockaddr_un named = { .sun_family = AF_UNIX, .sun_path = "/tmp/socket" };
	struct sockaddr_un hidden = { .sun_family = AF_UNIX, .sun_path = "\0hidden" };

	bind(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&named, sizeof(named));
	bind(socket(AF_UNIX, SOCK_DGRAM, 0), (struct sockaddr *)&hidden,
	     sizeof(hidden.sun_family) + 7);
}

static void open_files(void)
{
	int data = open("/tmp/deep/er/data", O_RDWR | O_CREAT, 0600), gone, fds[2];

	if (ftruncate(data, 8192) < 0 || lseek(data, 77, SEEK_SET) < 0)
		return;
	mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, data, 0);
	mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, data, 4096);
	for (int i = 0; i < 40; i++)	/* so many mappings need a tree of several levels */
		mmap(NULL, 4096, i & 1 ? PROT_READ : PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	gone = open("/tmp/gone", O_WRONLY | O_CREAT | O_APPEND, 0600);
	unlink("/tmp/gone");
	dup2(gone, 100);
	memfd_create("memory", 0);
	epoll_create1(0);
	eventfd(0, 0);
	if (pipe(fds) < 0)
		return;
	open_inet();
	open_unix();
}

int sleep_with_open_files(void)
{
	static char names[3][16] = { "first", "second", "th\033ird" };
	pthread_t thread;

	open_files();
	for (int i = 0; i < 3; i++)
		pthread_create(&thread, NULL, sleep_on, names[i]);
	if (write(3, "", 1) < 0)	/* the pipe that make_people() waits at */
		return 1;
	sleep_on("sleeper");
	return 0;
}

/* Deeper than a path can tell: with its memory, a mapping and a file there, and one behind it. */
static void open_far_away(void)
{
	char name[251];
	int fd;

	memset(name, 'f', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	for (int i = 0; i < 20; i++)
		if (mkdir(name, 0777) < 0 || chdir(name) < 0)
			return;
	fd = open("far", O_RDWR | O_CREAT, 0600);
	if (fd < 0 || ftruncate(fd, 4096) < 0)
		return;
	mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	open("/tmp", O_RDONLY | O_DIRECTORY);
}

static void run_far_away(void)
{
	int fds[2];
	char c;

	if (pipe(fds) < 0)
		return;
	if (!fork()) {
		if (chdir("/tmp") < 0)
			_exit(1);
		open_far_away();
		if (write(fds[1], "", 1) < 0)
			_exit(1);
		sleep_on("far away");
	}
	close(fds[1]);
	if (read(fds[0], &c, 1) != 1)
		tell("the far one fell over");
	close(fds[0]);
}

/* Each the child of the one before it. */
static void run_lineage(int more)
{
	if (fork())
		return;
	if (more)
		run_lineage(more - 1);
	sleep_on("lineage");
}

/* A process that is ready once a byte has come. */
static void run_sleeper(void)
{
	char *const argv[] = { "/init", "--sleep", "a word", "", "\303\251t\303\251\377", NULL };
	char *const env[] = { "HOME=/root", "EMPTY=", "TWO=2 3", NULL };
	int fds[2];
	char c;

	if (pipe(fds) < 0)
		return;
	if (!fork()) {
		dup2(fds[1], 3);
		if (setgid(1001) < 0 || setuid(1000) < 0)
			_exit(1);
		execve("/init", argv, env);
		_exit(1);
	}
	close(fds[1]);
	if (read(fds[0], &c, 1) != 1)
		tell("the sleeper fell over");
	close(fds[0]);
}

void make_people(void)
{
	pid_t pid;

	mkdir("/tmp", 0777);
	mount("tmp", "/tmp", "tmpfs", 0, "mode=777");
	mkdir("/tmp/deep", 0777);
	mkdir("/tmp/deep/er", 0777);
	mount("tmp", "/tmp/deep/er", "tmpfs", 0, "mode=777");
	loopback_up();
	run_sleeper();
	run_far_away();
	run_lineage(69);
	if (!fork())
		_exit(0);		/* a zombie: nobody waits for it */
	pid = fork();
	if (!pid)
		sleep_on("stopped");
	kill(pid, SIGSTOP);
	for (int i = 0; i < 150; i++)
		if (!fork())
			sleep_on("one of many");
	sleep(1);
}
