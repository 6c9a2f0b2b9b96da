/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The server's queue to a tool that reads slowly: all in order, in room that does not grow. */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../lib/test.h"
#include "agent/kvmi/link.h"
#include "agent/kvmi/out.h"

#define BACKLOG 65536u		/* bytes that are always left to be sent */
#define ROUNDS  20000u

void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);

static size_t largest;		/* that the queue asked for */

void *__wrap_realloc(void *p, size_t size)
{
	if (size > largest)
		largest = size;
	return __real_realloc(p, size);
}

void kvmi_link_ring(void)
{
}

void kvmi_link_is_wrong(void)
{
}

struct answer {
	struct kvmi_header header;
	struct kvmi_status status;
	uint8_t data[1000];
};

static void read_one(int fd, uint32_t seq)
{
	struct answer a;
	size_t have = 0;

	while (have < sizeof(a)) {
		ssize_t n = recv(fd, (char *)&a + have, sizeof(a) - have, MSG_DONTWAIT);

		if (n > 0)
			have += (size_t)n;
		else
			kvmi_out_flush();
	}
	assert_int_equal(a.header.seq, seq);
	assert_int_equal(a.data[999], (uint8_t)seq);
}

static void test_slow_reader(void **state)
{
	struct kvmi_header command = { .id = 2 };
	uint32_t written = 0, seen = 0;
	uint8_t data[1000];
	int fd[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	kvmi_out_open(fd[0]);
	while (seen < ROUNDS) {
		while (kvmi_out_waiting() < BACKLOG) {
			command.seq = written++;
			memset(data, (uint8_t)command.seq, sizeof(data));
			kvmi_out_reply(&command, 0, data, sizeof(data));
		}
		read_one(fd[1], seen++);
		kvmi_out_flush();
	}
	assert_in_range(largest, BACKLOG, 4 * BACKLOG);
	kvmi_out_open(-1);
	close(fd[0]);
	close(fd[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_slow_reader) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
