/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* scry gdb's server where the VM fails it; over the fake VM, without a client. */
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/vm.h"
#include "tool/gdb/gdb.h"
#include "unit.h"

static struct gdb *g;

static int begin(void **state)
{
	const struct gdb_opts opts = { .uri = "fake:gdb" };

	g = calloc(1, sizeof(*g));
	if (!g || unit_open(state))
		return -1;
	fake.room = 100;
	fake.fail_subscribe = SCRY_E_REFUSED;
	fake.event_fd = eventfd(0, EFD_CLOEXEC);
	return gdb_begin(g, &opts);
}

static int end(void **state)
{
	gdb_end(g);
	free(g);
	close(fake.event_fd);
	return unit_close(state);
}

static void client_says(const char *bytes)
{
	size_t room, len = strlen(bytes);

	memcpy(packet_room(&g->in, &room), bytes, len);
	packet_came(&g->in, len);
}

static void expect(const char *packet, const char *answer)
{
	assert_true(gdb_command(g, packet, strlen(packet)));
	g->out.data[g->out.len] = 0;
	assert_memory_equal(g->out.data, answer, strlen(answer));
}

/* All go on, and stop by what the client has said. */
static void expect_all_go(void)
{
	fake_clear_log();
	client_says("\x03");
	expect("vCont;c", "T02");
	for (unsigned i = 0; i < FAKE_VCPUS; i++) {
		assert_non_null(strstr(fake.log, ((char[]){ 'g', (char)('0' + i), ' ', 0 })));
		assert_false(fake.running[i]);
	}
}

static void expect_no_traps(void)
{
	assert_int_equal(fake.subscriptions, 0);
	for (size_t i = 0; i < RAM_SIZE >> 12; i++)
		assert_int_equal(fake.denied[i], 0);
}

/* Behind a packet that it should not have sent, and before the VM went on. */
static void test_interrupt_that_has_come(void **state)
{
	(void)state;
	expect_all_go();
	client_says("+$?#3f$m0,1#fa-");
	expect_all_go();
}

static void test_no_pause_of_one(void **state)
{
	(void)state;
	scry_cap_set(g->vm, SCRY_CAP_VCPU_PAUSE, false, "by the whole or not at all");
	expect("s", "E.");
	assert_non_null(strstr(g->out.data, "by the whole or not at all"));
	expect_no_traps();
	expect_all_go();
}

static void test_no_step(void **state)
{
	(void)state;
	fake.room = 0;
	expect("vCont;s:2", "E.");
	fake.room = 1;
	expect_all_go();
	client_says("\x03");
	expect("vCont;s:2", "T02");
	expect_no_traps();
	expect_all_go();
}

/* Twice: nothing of the first time may look as if it were in place. */
static void test_half_a_watchpoint(void **state)
{
	(void)state;
	expect("Z2,1001,10000", "OK");
	fake.room = GDB_PARTS - 1;
	for (int i = 0; i < 2; i++) {
		expect("vCont;c", "E.");
		expect_no_traps();
	}
	fake.room = GDB_PARTS;
	expect_all_go();
	assert_int_equal(fake.subscriptions, GDB_PARTS);
	assert_int_equal(fake.denied[GDB_PARTS], SCRY_WRITE);
	expect("z2,1001,10000", "OK");
	expect_all_go();
	expect_no_traps();
}

static void test_vm_ends_while_arming(void **state)
{
	(void)state;
	expect("Z2,1000,8", "OK");
	fake.room = 0;
	fake.fail_subscribe = SCRY_E_GONE;
	expect("vCont;c", "W00");
	assert_true(g->vm_ended);
}

/* A hit on another vCPU, of which the client has not been told. */
static void hit_on(unsigned vcpu)
{
	g->event[vcpu] = (struct scry_event){ .kind = SCRY_EVENT_STEP, .vcpu = vcpu };
	g->waits[vcpu] = g->untold[vcpu] = true;
	g->watched[vcpu] = &g->point[0];
}

static void test_hit_of_a_deleted_watchpoint(void **state)
{
	(void)state;
	expect("Z2,1000,8", "OK");
	hit_on(1);
	expect("z2,1000,8", "OK");
	expect("Z2,1000,8", "OK");
	expect("vCont;c", "T05thread:2;");
	assert_non_null(strstr(g->out.data, "watch:1000;"));
	hit_on(1);
	expect("z2,1000,8", "OK");
	expect_all_go();
	assert_int_equal(fake.replies, 1);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_interrupt_that_has_come),
		TEST(test_no_pause_of_one),
		TEST(test_no_step),
		TEST(test_half_a_watchpoint),
		TEST(test_vm_ends_while_arming),
		TEST(test_hit_of_a_deleted_watchpoint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
