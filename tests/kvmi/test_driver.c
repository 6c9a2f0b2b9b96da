/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The driver against a kernel that does what no guest can be made to have it do. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "driver_world.h"

static void test_open(void **state)
{
	struct world *w = *state;
	struct scry_info info = { .sz = sizeof(info) };
	struct scry_region region[4];
	const char *reason;

	open_vm(w, generation, LONG);
	assert_ok(scry_info(w->vm, &info));
	assert_string_equal(info.name, "peer");
	assert_string_equal(info.driver, "kvmi");
	assert_string_equal(info.hypervisor, generation == KVMI_V7 ? "KVM with KVMI v7" :
			    "KVM with KVMI v12");
	assert_int_equal(info.vcpus, PEER_VCPUS);
	assert_int_equal(info.pid, getpid());
	assert_int_equal(info.max_gfn, PEER_MEMORY / 4096 - 1);
	assert_int_equal(scry_memory_map(w->vm, region, 4), 2);
	assert_int_equal(region[0].size, PEER_HOLE);
	assert_int_equal(region[1].gpa, PEER_BACK);
	assert_int_equal(region[1].size, PEER_MEMORY - PEER_BACK);
	assert_int_equal(scry_cap(w->vm, SCRY_CAP_EVENT_CPUID, &reason), generation == KVMI_V7);
	assert_int_equal(scry_cap(w->vm, SCRY_CAP_VIEWS, &reason), generation == KVMI_V7);
	assert_int_equal(scry_cap(w->vm, SCRY_CAP_MSR_WRITE, &reason), 0);
	assert_true(reason[0]);
}

static void test_memory(void **state)
{
	struct world *w = *state;
	static uint8_t in[100000], out[100000];

	open_vm(w, generation, LONG);
	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)(i * 7);
	assert_ok(scry_write_phys(w->vm, 0x100123, in, sizeof(in)));
	assert_memory_equal(w->peer.memory + 0x100123, in, sizeof(in));
	assert_ok(scry_read_phys(w->vm, 0x100123, out, sizeof(out)));
	assert_memory_equal(in, out, sizeof(in));
	assert_error(SCRY_E_ADDRESS, scry_read_phys(w->vm, 0x9fff8, out, 16));
	assert_error(SCRY_E_ADDRESS, scry_write_phys(w->vm, PEER_MEMORY - 1, out, 2));
}

/* A vCPU that is paused twice goes on when it is resumed twice; one reply for each event. */
static void test_pause(void **state)
{
	struct world *w = *state;
	struct scry_regs regs = { 0 };

	open_vm(w, generation, LONG);
	for (int i = 0; i < 50; i++) {
		assert_ok(scry_pause(w->vm));
		assert_ok(scry_vcpu_pause(w->vm, 1));
		assert_ok(scry_resume(w->vm));
		assert_ok(scry_vcpu_resume(w->vm, 1));
	}
	assert_ok(scry_pause(w->vm));
	regs.gpr[SCRY_REG_RCX] = 0x1234;
	assert_ok(scry_regs_set(w->vm, 1, &regs, SCRY_REG_BIT(SCRY_REG_RCX)));
	regs.gpr[SCRY_REG_RDX] = 0x5678;
	assert_ok(scry_regs_set(w->vm, 1, &regs, SCRY_REG_BIT(SCRY_REG_RDX)));
	assert_ok(scry_regs_get(w->vm, 1, &regs));
	assert_int_equal(regs.gpr[SCRY_REG_RCX], 0x1234);
	assert_int_equal(regs.gpr[SCRY_REG_RDX], 0x5678);
	assert_int_equal(regs.rip, 0x1001);
	assert_ok(scry_resume(w->vm));
	assert_ok(scry_regs_get(w->vm, 1, &regs));
	assert_int_equal(regs.gpr[SCRY_REG_RCX], 0x1234);
	assert_int_equal(regs.gpr[SCRY_REG_RDX], 0x5678);
	assert_int_equal(regs.xcr0, 7);
	assert_error(SCRY_E_UNSUPPORTED, scry_regs_set(w->vm, 1, &regs,
						       SCRY_REG_BIT(SCRY_REG_CR3)));
}

static void test_msr_xsave(void **state)
{
	struct world *w = *state;
	uint8_t area[8192];
	uint64_t value;

	open_vm(w, generation, LONG);
	assert_ok(scry_msr_get(w->vm, 0, 0x10, &value));
	assert_int_equal(value, 0x30);
	assert_error(SCRY_E_REFUSED, scry_msr_get(w->vm, 0, 0xffffffff, &value));
	assert_error(SCRY_E_UNSUPPORTED, scry_msr_set(w->vm, 0, 0x10, 1));
	assert_int_equal(scry_xsave_get(w->vm, 0, area, sizeof(area)), KVMI_XSAVE);
	assert_int_equal(area[0], 0x7f);
	assert_ok(scry_xsave_set(w->vm, 0, area, KVMI_XSAVE));
}

/* What is not written back in the reply would be zero. */
static void test_cr(void **state)
{
	const struct scry_subscription sub = { .sz = sizeof(sub), .kind = SCRY_EVENT_CR_WRITE,
					       .vcpus = 1, .cr = { .cr = 4 } };
	const struct kvmi_event_cr part = { .cr = 4, .old_value = 0x220, .new_value = 0x40220 };
	struct world *w = *state;
	struct scry_event e;
	int number;

	open_vm(w, generation, LONG);
	number = scry_subscribe(w->vm, &sub);
	assert_true(number > 0);
	assert_int_equal(w->peer.vcpu[0].events, 1u << KVMI_EVENT_CR);
	assert_int_equal(w->peer.vcpu[0].crs, 1u << 4);
	assert_int_equal(w->peer.vcpu[1].events, 0);
	peer_raise(&w->peer, 0, KVMI_EVENT_CR, &part, sizeof(part));
	e = one_event(w);
	assert_int_equal(e.kind, SCRY_EVENT_CR_WRITE);
	assert_int_equal(e.cr.new_value, 0x40220);
	assert_ok(scry_reply_action(w->vm, &e, SCRY_CONTINUE));
	assert_error(SCRY_E_STATE, scry_reply_action(w->vm, &e, SCRY_CONTINUE));
	assert_true(peer_await(&w->peer, 0, 1));
	assert_int_equal(w->peer.vcpu[0].last.value.new_value, 0x40220);
	peer_raise(&w->peer, 0, KVMI_EVENT_CR, &part, sizeof(part));
	e = one_event(w);
	assert_int_equal(e.sequence, 2);
	assert_error(SCRY_E_UNSUPPORTED, scry_reply_action(w->vm, &e, SCRY_DENY));
	assert_ok(scry_reply_action(w->vm, &e, SCRY_SKIP));
	assert_true(peer_await(&w->peer, 0, 2));
	assert_int_equal(w->peer.vcpu[0].last.value.new_value, 0x220);
	assert_ok(scry_unsubscribe(w->vm, number));
	assert_int_equal(w->peer.vcpu[0].events | w->peer.vcpu[0].crs, 0);
	/* What was under way is let happen. */
	peer_raise(&w->peer, 0, KVMI_EVENT_CR, &part, sizeof(part));
	assert_int_equal(scry_event_wait(w->vm, &e, 1, 1), 0);
	assert_true(peer_await(&w->peer, 0, 3));
	assert_int_equal(w->peer.vcpu[0].last.value.new_value, 0x40220);
}

/* An event between a command and its reply is kept, and the other vCPU's comes, too. */
static void test_event_between(void **state)
{
	const struct scry_subscription sub = { .sz = sizeof(sub), .kind = SCRY_EVENT_MSR_WRITE,
					       .msr = { .count = 1, .index = { 0x174 } } };
	const struct kvmi_event_msr part = { .msr = 0x174, .new_value = 5 };
	struct world *w = *state;
	struct scry_regs regs;
	struct scry_event e;
	struct pollfd p = { .events = POLLIN };

	open_vm(w, generation, LONG);
	assert_true(scry_subscribe(w->vm, &sub) > 0);
	p.fd = scry_event_fd(w->vm);
	assert_true(p.fd >= 0);
	peer_raise(&w->peer, 0, KVMI_EVENT_MSR, &part, sizeof(part));
	assert_ok(scry_regs_get(w->vm, 1, &regs));
	assert_ok(scry_regs_get(w->vm, 0, &regs));
	assert_int_equal(regs.rip, 0x1000);
	assert_int_equal(poll(&p, 1, 20000), 1);
	e = one_event(w);
	assert_int_equal(e.msr.new_value, 5);
	assert_ok(scry_reply_action(w->vm, &e, SCRY_CONTINUE));
	assert_true(peer_await(&w->peer, 0, 1));
	assert_int_equal(scry_event_wait(w->vm, &e, 1, 0), 0);
	assert_int_equal(poll(&p, 1, 0), 0);
}

static void test_inject(void **state)
{
	const struct scry_subscription sub = { .sz = sizeof(sub), .kind = SCRY_EVENT_INT3 };
	const struct kvmi_event_breakpoint int3 = { .gpa = 0x1000, .insn_len = 1 };
	struct scry_injection ud = { .sz = sizeof(ud), .exception = { .vector = 6 } };
	struct world *w = *state;
	struct scry_event e;

	open_vm(w, generation, LONG);
	/* Its TRAP is answered though nobody asks for events. */
	for (int i = 0; i < 5; i++)
		assert_ok(scry_inject(w->vm, 0, &ud));
	ud.type = SCRY_INTERRUPT_NMI;
	assert_error(SCRY_E_UNSUPPORTED, scry_inject(w->vm, 0, &ud));
	assert_true(scry_subscribe(w->vm, &sub) > 0);
	peer_raise(&w->peer, 1, KVMI_EVENT_BREAKPOINT, &int3, sizeof(int3));
	e = one_event(w);
	assert_int_equal(e.insn_len, 1);
	assert_ok(scry_reply_action(w->vm, &e, SCRY_SKIP));
	assert_true(peer_await(&w->peer, 1, 1));
	assert_int_equal(w->peer.vcpu[1].gprs.rip, 0x1002);
	assert_int_equal(w->peer.vcpu[1].last.reply.action, KVMI_RETRY);
	peer_raise(&w->peer, 1, KVMI_EVENT_BREAKPOINT, &int3, sizeof(int3));
	e = one_event(w);
	assert_ok(scry_reply_action(w->vm, &e, SCRY_DENY));
	assert_true(peer_await(&w->peer, 1, 2));
	assert_int_equal(w->peer.vcpu[1].vector, 13);
}

/* vCPUs that do not run answer nothing: the call ends, and the handle is good still. */
static void test_mute(void **state)
{
	struct world *w = *state;
	struct scry_regs regs;
	uint8_t byte;

	open_vm(w, generation, 1500);
	w->peer.mute = true;
	assert_error(SCRY_E_TIMEOUT, scry_regs_get(w->vm, 0, &regs));
	assert_ok(scry_read_phys(w->vm, 0, &byte, 1));
	w->peer.mute = false;
	assert_ok(scry_regs_get(w->vm, 0, &regs));
}

static void test_unhook(void **state)
{
	struct world *w = *state;
	struct scry_event e;
	uint8_t byte;

	open_vm(w, generation, LONG);
	peer_unhook(&w->peer);
	assert_error(SCRY_E_GONE, scry_event_wait(w->vm, &e, 1, 20000));
	assert_says("QEMU asked");
	assert_error(SCRY_E_GONE, scry_read_phys(w->vm, 0, &byte, 1));
	assert_error(SCRY_E_GONE, scry_pause(w->vm));
}

/* QEMU says what is allowed only after it has handed over the connection. */
static void test_not_yet_allowed(void **state)
{
	struct world *w = *state;
	const char *reason;

	w->peer.denials = 60;
	open_vm(w, generation, LONG);
	assert_int_equal(scry_cap(w->vm, SCRY_CAP_PHYS_READ, &reason), 1);
	assert_int_equal(scry_cap(w->vm, SCRY_CAP_PAUSE, &reason), 1);
}

static void test_denied(void **state)
{
	struct world *w = *state;
	const char *reason;
	uint64_t value;

	w->peer.denied = UINT64_C(1) << KVMI_GET_REGISTERS;
	open_vm(w, generation, LONG);
	assert_int_equal(scry_cap(w->vm, SCRY_CAP_REGS_READ, &reason), 0);
	assert_non_null(strstr(reason, "GET_REGISTERS"));
	assert_error(SCRY_E_UNSUPPORTED, scry_msr_get(w->vm, 0, 0x10, &value));
}

static void test_key(void **state)
{
	/* SHA-1 of "abc" (FIPS 180-2, appendix A.1) */
	static const uint8_t abc[20] = {
		0xa9, 0x99, 0x3e, 0x36, 0x47, 0x06, 0x81, 0x6a, 0xba, 0x3e,
		0x25, 0x71, 0x78, 0x50, 0xc2, 0x6c, 0x9c, 0xd0, 0xd8, 0x9d,
	};
	struct world *w = *state;

	strcat(w->uri, ",key=abc");
	open_vm(w, generation, LONG);
	assert_memory_equal(w->peer.cookie, abc, sizeof(abc));
}

/* The VM goes on without a client who does not reply. */
static void test_late(void **state)
{
	const struct scry_subscription sub = { .sz = sizeof(sub), .kind = SCRY_EVENT_INT3 };
	const struct scry_open_opts opts = { .sz = sizeof(opts), .reply_timeout_ms = 1500 };
	const struct kvmi_event_breakpoint int3 = { .insn_len = 1 };
	struct world *w = *state;
	struct scry_event e;
	int ret;

	peer_start(&w->peer, generation, w->path);
	assert_ok(scry_open(&w->vm, w->uri, &opts));
	assert_true(scry_subscribe(w->vm, &sub) > 0);
	peer_raise(&w->peer, 0, KVMI_EVENT_BREAKPOINT, &int3, sizeof(int3));
	e = one_event(w);
	while (!(ret = scry_event_wait(w->vm, &e, 1, 20000)))
		;
	assert_int_equal(ret, SCRY_E_TIMEOUT);
	assert_says("vCPU 0");
}

static void test_addresses(void **state)
{
	struct world *w = *state;
	const struct scry_open_opts opts = { .sz = sizeof(opts), .timeout_ms = 20 };

	peer_start(&w->peer, generation, "/nowhere");
	assert_error(SCRY_E_INVAL, scry_open(&w->vm, "kvmi:name", &opts));
	assert_error(SCRY_E_INVAL, scry_open(&w->vm, "kvmi:/tmp/x,secret=1", &opts));
	assert_error(SCRY_E_NOTFOUND, scry_open(&w->vm, "kvmi:/nowhere/sock", &opts));
	assert_error(SCRY_E_NOTFOUND, scry_open(&w->vm, "kvmi:/tmp/x,key-file=/nowhere", &opts));
	assert_error(SCRY_E_INVAL, scry_open(&w->vm, "kvmi:/etc/passwd", &opts));
	assert_error(SCRY_E_TIMEOUT, scry_open(&w->vm, w->uri, &opts));
	assert_says("reconnect=");
	w->peer.path = w->path;
	assert_ok(scry_open(&w->vm, w->uri, NULL));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_open), TEST(test_memory), TEST(test_pause), TEST(test_msr_xsave),
		TEST(test_cr), TEST(test_event_between), TEST(test_breakpoint), TEST(test_inject),
		TEST(test_gone_in_step), TEST(test_close_in_step), TEST(test_second),
		TEST(test_remaps), TEST(test_remaps_later),
		TEST(test_mute), TEST(test_unhook), TEST(test_not_yet_allowed), TEST(test_denied),
		TEST(test_key), TEST(test_late), TEST(test_addresses),
		TEST(test_breakpoint_across), TEST(test_breakpoints_change),
		TEST(test_new_vcpu_in_step), TEST(test_step_ends_elsewhere),
		TEST(test_step_broken_off), TEST(test_step_given_up), TEST(test_step_stays), TEST(test_paused_not_started),
		TEST(test_started_by_next), TEST(test_inject_running), TEST(test_inject_fails),
		TEST(test_not_started), TEST(test_subscription_fails), TEST(test_unwanted_step),
		TEST(test_inject_stepped), TEST(test_reply_fails), TEST(test_view_fails),
		TEST(test_remap_fails), TEST(test_nothing_to_skip), TEST(test_new_vcpu_paused),
		TEST(test_bad_version), TEST(test_drawl), TEST(test_slow_opening), TEST(test_silent_others), TEST(test_private_file),
		TEST(test_file_cut),
		TEST(test_not_its_socket),
	};

	if (argc > 2)
		cmocka_set_test_filter(argv[2]);
	generation = argc > 1 && !strcmp(argv[1], "v7") ? KVMI_V7 : KVMI_V12;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
