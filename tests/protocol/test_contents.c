/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <unistd.h>

#include "hostile.h"
#include "protocol/futex.h"

/* Replies of the right size that say what cannot be: WELCOME, CAPS, MAP, SUBSCRIBE. */

static void open_fails(void **state, uint32_t type, void (*how)(struct packet *reply), int want)
{
	const struct scry_open_opts opts = { .sz = sizeof(opts), .timeout_ms = TIMEOUT_MS };
	struct hostile *h = *state;
	unsigned before = endpoint_open_files();

	hostile_spoil(h, type, how);
	assert_error(want, scry_open(&h->vm, h->endpoint.uri, &opts));
	assert_null(h->vm);
	for (int wait = 0; wait < 1000 && h->endpoint.client >= 0; wait++)
		usleep(1000);
	assert_true(endpoint_open_files() <= before + 3);
}

static void no_magic(struct packet *r)
{
	r->welcome.magic++;
}

static void other_version(struct packet *r)
{
	r->welcome.version = 99;
	memset(r->welcome.build, '9', sizeof(r->welcome.build));
	r->len = sizeof(r->welcome) - 64;
}

static void no_vcpus(struct packet *r)
{
	r->welcome.vcpus = 0;
}

static void many_vcpus(struct packet *r)
{
	r->welcome.vcpus = SCRY_AGENT_VCPUS + 1;
}

static void more_vcpus_than_slots(struct packet *r)
{
	r->welcome.vcpus = SCRY_AGENT_VCPUS;
}

static void lying_size(struct packet *r)
{
	r->welcome.vcpus = SCRY_AGENT_VCPUS;
	r->welcome.shared_size = UINT64_MAX;
}

static void no_files(struct packet *r)
{
	r->fd_count = 0;
}

static void one_file(struct packet *r)
{
	r->fd_count = 1;
}

static void three_files(struct packet *r)
{
	r->fds[r->fd_count++] = 0;
}

static void not_a_memfd(struct packet *r)
{
	r->fds[0] = r->fds[1];
}

static void test_welcome(void **state)
{
	open_fails(state, SCRY_AGENT_HELLO, no_magic, SCRY_E_PROTOCOL);
	open_fails(state, SCRY_AGENT_HELLO, other_version, SCRY_E_VERSION);
	assert_says("protocol 99");
	assert_says(scry_version());
	open_fails(state, SCRY_AGENT_HELLO, no_vcpus, SCRY_E_PROTOCOL);
	open_fails(state, SCRY_AGENT_HELLO, many_vcpus, SCRY_E_PROTOCOL);
	open_fails(state, SCRY_AGENT_HELLO, more_vcpus_than_slots, SCRY_E_PROTOCOL);
	open_fails(state, SCRY_AGENT_HELLO, lying_size, SCRY_E_PROTOCOL);
	open_fails(state, SCRY_AGENT_HELLO, no_files, SCRY_E_PROTOCOL);
	open_fails(state, SCRY_AGENT_HELLO, one_file, SCRY_E_PROTOCOL);
	open_fails(state, SCRY_AGENT_HELLO, three_files, SCRY_E_PROTOCOL);
	open_fails(state, SCRY_AGENT_HELLO, not_a_memfd, SCRY_E_PROTOCOL);
}

/* A memfd that the agent could shorten later, to raise a bus error here. */
static void unsealed(struct packet *r)
{
	r->fds[0] = endpoint_memfd(1 << 20);
}

static void test_unsealed(void **state)
{
	const struct scry_open_opts opts = { .sz = sizeof(opts), .timeout_ms = TIMEOUT_MS };
	struct hostile *h = *state;

	hostile_spoil(h, SCRY_AGENT_HELLO, unsealed);
	assert_error(SCRY_E_PROTOCOL, scry_open(&h->vm, h->endpoint.uri, &opts));
	assert_says("not sealed");
}

static void ugly_names(struct packet *r)
{
	memset(r->welcome.name, '\033', sizeof(r->welcome.name));
	memset(r->welcome.hypervisor, '\n', sizeof(r->welcome.hypervisor));
}

static void test_names(void **state)
{
	struct hostile *h = *state;
	struct scry_info info = { .sz = sizeof(info) };

	hostile_spoil(h, SCRY_AGENT_HELLO, ugly_names);
	hostile_open(h);
	assert_ok(scry_info(h->vm, &info));
	assert_int_equal(strlen(info.name), sizeof(info.name) - 1);
	assert_int_equal(strlen(info.hypervisor), sizeof(info.hypervisor) - 1);
	assert_null(strchr(info.name, '\033'));
	assert_null(strchr(info.hypervisor, '\n'));
}

static void ugly_reason(struct packet *r)
{
	r->caps.cap[SCRY_CAP_REGS_READ].supported = 0;
	memset(r->caps.cap[SCRY_CAP_REGS_READ].reason, '\a', sizeof(r->caps.cap[0].reason));
}

static void test_reason(void **state)
{
	struct hostile *h = *state;
	const char *reason;

	hostile_spoil(h, SCRY_AGENT_CAPS, ugly_reason);
	hostile_open(h);
	assert_int_equal(scry_cap(h->vm, SCRY_CAP_REGS_READ, &reason), 0);
	assert_true(strlen(reason) < sizeof(((struct scry_agent_caps *)0)->cap[0].reason));
	assert_null(strchr(reason, '\a'));
}

static void too_many_regions(struct packet *r)
{
	r->map.count = SCRY_AGENT_REGIONS + 1;
}

static void more_regions_than_sent(struct packet *r)
{
	r->map.count = SCRY_AGENT_REGIONS;
	r->len = offsetof(struct scry_agent_map, region) + 3 * sizeof(r->map.region[0]);
}

static void files_not_sent(struct packet *r)
{
	r->fd_count = 0;
}

static void overlapping(struct packet *r)
{
	r->map.region[1].gpa -= 4096;
}

static void descending(struct packet *r)
{
	r->map.region[2].gpa = 0;
}

static void unaligned(struct packet *r)
{
	r->map.region[1].size -= 8;
}

static void unaligned_file(struct packet *r)
{
	r->map.region[0].file_offset = 8;
}

static void nothing_in_it(struct packet *r)
{
	r->map.region[1].size = 0;
}

static void past_the_end(struct packet *r)
{
	r->map.region[2].size = -ENDPOINT_FAR;
}

static void no_such_file(struct packet *r)
{
	r->map.region[0].file = 1;
}

static void negative_file(struct packet *r)
{
	r->map.region[0].file = -2;
}

static void test_map(void **state)
{
	open_fails(state, SCRY_AGENT_MAP, too_many_regions, SCRY_E_PROTOCOL);
	open_fails(state, SCRY_AGENT_MAP, more_regions_than_sent, SCRY_E_PROTOCOL);
	open_fails(state, SCRY_AGENT_MAP, files_not_sent, SCRY_E_PROTOCOL);
	open_fails(state, SCRY_AGENT_MAP, overlapping, SCRY_E_PROTOCOL);
	open_fails(state, SCRY_AGENT_MAP, descending, SCRY_E_PROTOCOL);
	open_fails(state, SCRY_AGENT_MAP, unaligned, SCRY_E_PROTOCOL);
	open_fails(state, SCRY_AGENT_MAP, unaligned_file, SCRY_E_PROTOCOL);
	open_fails(state, SCRY_AGENT_MAP, nothing_in_it, SCRY_E_PROTOCOL);
	open_fails(state, SCRY_AGENT_MAP, past_the_end, SCRY_E_PROTOCOL);
	open_fails(state, SCRY_AGENT_MAP, no_such_file, SCRY_E_PROTOCOL);
	open_fails(state, SCRY_AGENT_MAP, negative_file, SCRY_E_PROTOCOL);
}

static void restless(struct packet *r)
{
	r->map.life++;
}

static void test_restless_map(void **state)
{
	open_fails(state, SCRY_AGENT_MAP, restless, SCRY_E_TIMEOUT);
}

/* What is not in its file is not mapped (a load would be a bus error), and read otherwise. */
static void past_the_file(struct packet *r)
{
	r->map.region[0].file_offset = ENDPOINT_RAM - 4096;
}

static void huge_offset(struct packet *r)
{
	r->map.region[0].file_offset = -UINT64_C(4096);
}

static void check_read_unmapped(struct hostile *h)
{
	struct scry_info info = { .sz = sizeof(info) };
	uint64_t value;

	assert_ok(scry_info(h->vm, &info));
	assert_int_not_equal(info.ram_access, SCRY_RAM_MAPPED);
	assert_int_equal(scry_cap(h->vm, SCRY_CAP_RAM_MAP, NULL), 0);
	assert_null(scry_phys_ptr(h->vm, 0, 8));
	assert_ok(scry_read_phys_u64(h->vm, 16, &value));
	assert_memory_equal(&value, h->endpoint.ram + 16, 8);
}

static void test_short_file(void **state)
{
	struct hostile *h = *state;

	hostile_spoil(h, SCRY_AGENT_MAP, past_the_file);
	hostile_open(h);
	check_read_unmapped(h);
	scry_close(h->vm);
	hostile_spoil(h, SCRY_AGENT_MAP, huge_offset);
	hostile_open(h);
	check_read_unmapped(h);
}

/* Addresses in QEMU that are not there: read by messages then. */
static void lying_host(struct packet *r)
{
	r->fd_count = r->map.files = 0;
	for (int i = 0; i < 3; i++) {
		r->map.region[i].file = -1;
		r->map.region[i].host = UINT64_C(0xdeadbeef0000000);
	}
}

static void test_lying_host(void **state)
{
	struct hostile *h = *state;

	hostile_spoil(h, SCRY_AGENT_MAP, lying_host);
	hostile_open(h);
	check_read_unmapped(h);
}

static void test_all_ways_to_read(void **state)
{
	struct hostile *h = *state;
	static unsigned char buf[ENDPOINT_RAM];

	hostile_open(h);
	assert_ok(scry_read_phys(h->vm, 0, buf, sizeof(buf)));
	assert_memory_equal(buf, h->endpoint.ram, sizeof(buf));
	assert_ok(scry_read_phys(h->vm, ENDPOINT_FAR, buf, 4096));
	assert_memory_equal(buf, h->endpoint.ram, 4096);
	memset(buf, 0x5a, sizeof(buf));
	assert_ok(scry_write_phys(h->vm, 0, buf, sizeof(buf)));
	assert_memory_equal(buf, h->endpoint.ram, sizeof(buf));
}

static void number_zero(struct packet *r)
{
	r->value.value = 0;
}

static void number_huge(struct packet *r)
{
	r->value.value = UINT64_C(1) << 40;
}

static void test_subscription_number(void **state)
{
	const struct scry_subscription sub = { .sz = sizeof(sub), .kind = SCRY_EVENT_CPUID };
	struct hostile *h = *state;

	hostile_open(h);
	assert_int_equal(scry_subscribe(h->vm, &sub), 1);
	hostile_spoil(h, SCRY_AGENT_SUBSCRIBE, number_zero);
	assert_error(SCRY_E_PROTOCOL, scry_subscribe(h->vm, &sub));
	hostile_spoil(h, SCRY_AGENT_SUBSCRIBE, number_huge);
	assert_error(SCRY_E_PROTOCOL, scry_subscribe(h->vm, &sub));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, hostile_start, hostile_end)
	const struct CMUnitTest tests[] = {
		TEST(welcome), TEST(unsealed), TEST(names), TEST(reason), TEST(map),
		TEST(restless_map), TEST(short_file), TEST(lying_host), TEST(all_ways_to_read),
		TEST(subscription_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
