/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/test.h"
#include "common/outfile.h"
#include "common/stop.h"

/* In a folder of its own. */
static int setup(void **state)
{
	static char folder[32];

	snprintf(folder, sizeof(folder), "/tmp/outfile.XXXXXX");
	if (!mkdtemp(folder) || chdir(folder) < 0)
		return -1;
	*state = folder;
	return 0;
}

static int teardown(void **state)
{
	unlink("file");
	unlink("link");
	return chdir("/") < 0 || rmdir(*state) < 0 ? -1 : 0;
}

static mode_t type_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) < 0 ? 0 : st.st_mode & S_IFMT;
}

static void write_it(const char *path, const char *text, size_t len)
{
	struct outfile file;

	assert_int_equal(outfile_open(&file, path), 0);
	assert_int_equal(outfile_write(&file, text, len), 0);
	assert_int_equal(outfile_commit(&file), 0);
}

static void assert_holds(const char *path, const char *text)
{
	char buf[16] = { 0 };
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	assert_int_equal(fread(buf, 1, sizeof(buf) - 1, f), 3);
	fclose(f);
	assert_string_equal(buf, text);
}

static void test_appears_when_complete(void **state)
{
	struct outfile file;

	(void)state;
	assert_int_equal(outfile_open(&file, "file"), 0);
	assert_int_equal(outfile_write(&file, "one", 3), 0);
	assert_int_equal(type_of("file"), 0);
	assert_int_equal(outfile_commit(&file), 0);
	assert_holds("file", "one");
}

static void test_abandoned_leaves_nothing(void **state)
{
	struct outfile file;

	(void)state;
	assert_int_equal(outfile_open(&file, "file"), 0);
	assert_int_equal(outfile_write(&file, "one", 3), 0);
	outfile_abandon(&file);
	/* teardown() would fail on the temporary file. */
	assert_int_equal(type_of("file"), 0);
}

static void test_takes_the_place_of_another(void **state)
{
	struct stat st;

	(void)state;
	write_it("file", "one", 3);
	assert_int_equal(chmod("file", 0640), 0);
	write_it("file", "two", 3);
	assert_holds("file", "two");
	assert_int_equal(stat("file", &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
}

static void test_killed_leaves_nothing(void **state)
{
	int fd = open(".", O_TMPFILE | O_WRONLY, 0600), status;
	pid_t pid;

	(void)state;
	if (fd < 0 && errno == EOPNOTSUPP)
		skip();
	close(fd);
	pid = fork();
	if (!pid) {
		struct outfile file;

		if (!outfile_open(&file, "file") && !outfile_write(&file, "one", 3))
			kill(getpid(), SIGKILL);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	/* teardown() would fail on what is left. */
}

static void test_writes_behind_a_link(void **state)
{
	(void)state;
	write_it("file", "one", 3);
	assert_int_equal(symlink("file", "link"), 0);
	write_it("link", "two", 3);
	assert_int_equal(type_of("link"), S_IFLNK);
	assert_holds("file", "two");
}

static void test_refuses_a_link_to_nothing(void **state)
{
	struct outfile file;

	(void)state;
	assert_int_equal(symlink("file", "link"), 0);
	assert_int_equal(outfile_open(&file, "link"), EXIT_FAILURE);
	assert_int_equal(type_of("link"), S_IFLNK);
	assert_int_equal(type_of("file"), 0);
}

/* Interrupted while nobody reads what it writes. */
static void write_to_stalled_pipe(void)
{
	static const char much[1 << 20];
	struct outfile file;

	stop_on_signals();
	if (outfile_open(&file, "file"))
		_exit(1);
	file.ends_on_stop = true;
	if (!outfile_write(&file, much, sizeof(much)))
		_exit(2);
	outfile_abandon(&file);
	_exit(42);
}

static void test_stop_ends_a_write_that_stalls(void **state)
{
	int status, full = 0, fd, ended = 0;
	pid_t pid;

	(void)state;
	assert_int_equal(mkfifo("file", 0600), 0);
	fd = open("file", O_RDWR);
	assert_true(fd >= 0);
	pid = fork();
	if (!pid)
		write_to_stalled_pipe();
	while (full < 65536 && !waitpid(pid, &status, WNOHANG)) {
		assert_int_equal(ioctl(fd, FIONREAD, &full), 0);
		usleep(1000);
	}
	/* Until it ends: the first may come just before it writes. */
	for (int i = 0; i < 3000 && !ended; i++) {
		kill(pid, SIGINT);
		usleep(10000);
		ended = waitpid(pid, &status, WNOHANG);
	}
	if (!ended)
		kill(pid, SIGKILL);
	close(fd);
	assert_int_equal(ended, pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 42);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_appears_when_complete, setup, teardown),
		cmocka_unit_test_setup_teardown(test_abandoned_leaves_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_takes_the_place_of_another, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed_leaves_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stop_ends_a_write_that_stalls, setup, teardown),
		cmocka_unit_test_setup_teardown(test_writes_behind_a_link, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refuses_a_link_to_nothing, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
