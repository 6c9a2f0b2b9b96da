/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <unistd.h>

#include "hostile.h"
#include "protocol/futex.h"

/* Every request, and every way to spoil the reply to any request. */

static int call_open(struct hostile *h)
{
	const struct scry_open_opts opts = { .sz = sizeof(opts), .timeout_ms = TIMEOUT_MS };

	return scry_open(&h->vm, h->endpoint.uri, &opts);
}

/* The map is asked for again when its life has changed. */
static int call_map(struct hostile *h)
{
	struct scry_region region;

	atomic_fetch_add(&h->endpoint.shared->life.generation, 1);
	return scry_memory_map(h->vm, &region, 1);
}

static int call_read(struct hostile *h)
{
	char buf[64];

	return scry_read_phys(h->vm, ENDPOINT_FAR, buf, sizeof(buf));
}

static int call_write(struct hostile *h)
{
	return scry_write_phys(h->vm, 0, "abc", 3);
}

static int call_pause(struct hostile *h)
{
	atomic_store(&endpoint_slot(&h->endpoint, 0)->stopped, 1);
	return scry_vcpu_pause(h->vm, 0);
}

static int call_resume(struct hostile *h)
{
	int ret = call_pause(h);

	return ret < 0 ? ret : scry_vcpu_resume(h->vm, 0);
}

static int call_clocks(struct hostile *h)
{
	atomic_store(&endpoint_slot(&h->endpoint, 1)->stopped, 1);
	atomic_store(&endpoint_slot(&h->endpoint, 0)->stopped, 1);
	return scry_pause(h->vm);
}

static int call_subscribe(struct hostile *h)
{
	const struct scry_subscription sub = { .sz = sizeof(sub), .kind = SCRY_EVENT_INT3 };

	return scry_subscribe(h->vm, &sub);
}

static int call_unsubscribe(struct hostile *h)
{
	return scry_unsubscribe(h->vm, 1);
}

static const struct {
	uint32_t type;
	int (*call)(struct hostile *h);
} calls[] = {
	{ SCRY_AGENT_HELLO, call_open },
	{ SCRY_AGENT_CAPS, call_open },
	{ SCRY_AGENT_MAP, call_open },
	{ SCRY_AGENT_MAP, call_map },
	{ SCRY_AGENT_READ, call_read },
	{ SCRY_AGENT_WRITE, call_write },
	{ SCRY_AGENT_STOP, call_pause },
	{ SCRY_AGENT_GO, call_resume },
	{ SCRY_AGENT_CLOCKS, call_clocks },
	{ SCRY_AGENT_SUBSCRIBE, call_subscribe },
	{ SCRY_AGENT_UNSUBSCRIBE, call_unsubscribe },
};

static void one_call(struct hostile *h, size_t i, void (*how)(struct packet *reply), int want)
{
	unsigned before = endpoint_open_files();
	uint64_t start = scry_now_ns();
	int ret;

	if (calls[i].call != call_open)
		hostile_open(h);
	hostile_spoil(h, calls[i].type, how);
	ret = calls[i].call(h);
	if (want)
		assert_error(want, ret);
	else
		assert_true(ret >= 0);
	assert_true(scry_now_ns() - start < 20 * TIMEOUT_MS * UINT64_C(1000000));
	hostile_spoil(h, 0, NULL);
	/* After such a failure the handle is of no use, and says so. */
	if (h->vm && want && want != SCRY_E_BUSY)
		assert_error(SCRY_E_GONE, call_subscribe(h));
	scry_close(h->vm);
	h->vm = NULL;
	for (int wait = 0; wait < 1000 && h->endpoint.client >= 0; wait++)
		usleep(1000);
	/* The endpoint keeps its own two of the shared area. */
	assert_true(endpoint_open_files() <= before + (h->endpoint.shared ? 3 : 0));
}

static void each_call(void **state, void (*how)(struct packet *reply), int want)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		one_call(*state, i, how, want);
}

static void make_empty(struct packet *r)
{
	r->len = 0;
}

static void make_tiny(struct packet *r)
{
	r->len = 3;
}

static void make_bare(struct packet *r)
{
	r->len = sizeof(r->header);
}

static void make_short(struct packet *r)
{
	r->len = r->header.type == SCRY_AGENT_MAP ? sizeof(r->header) + 12 : r->len - 1;
}

static void make_long(struct packet *r)
{
	r->len++;
}

static void make_huge(struct packet *r)
{
	r->len = sizeof(r->bytes);
}

static void make_other(struct packet *r)
{
	r->header.type++;
}

static void make_silent(struct packet *r)
{
	r->fate = KEEP_SILENT;
}

static void make_hang_up(struct packet *r)
{
	r->fate = HANG_UP;
}

static void add_files(struct packet *r)
{
	int fd = r->fd_count ? r->fds[0] : 0;

	while (r->fd_count < ENDPOINT_FDS)
		r->fds[r->fd_count++] = fd;
}

static void fail_short(struct packet *r)
{
	r->header.status = SCRY_E_IO;
	r->len = sizeof(r->header);
}

static void fail_unknown(struct packet *r)
{
	r->header.status = -1000;
	r->len = sizeof(r->failure);
	strcpy(r->failure.text, "what a surprise");
}

static void fail_endless(struct packet *r)
{
	r->header.status = SCRY_E_TIMEOUT;
	r->len = sizeof(r->failure);
	memset(r->failure.text, '\033', sizeof(r->failure.text));
}

static void test_empty(void **state)
{
	each_call(state, make_empty, SCRY_E_GONE);
}

static void test_tiny(void **state)
{
	each_call(state, make_tiny, SCRY_E_PROTOCOL);
}

static void test_bare(void **state)
{
	each_call(state, make_bare, SCRY_E_PROTOCOL);
}

static void test_short(void **state)
{
	each_call(state, make_short, SCRY_E_PROTOCOL);
}

static void test_long(void **state)
{
	each_call(state, make_long, SCRY_E_PROTOCOL);
}

static void test_huge(void **state)
{
	each_call(state, make_huge, SCRY_E_PROTOCOL);
}

static void test_other(void **state)
{
	each_call(state, make_other, SCRY_E_PROTOCOL);
}

static void test_silent(void **state)
{
	each_call(state, make_silent, SCRY_E_TIMEOUT);
}

static void test_hang_up(void **state)
{
	each_call(state, make_hang_up, SCRY_E_GONE);
}

static void test_too_many_files(void **state)
{
	each_call(state, add_files, SCRY_E_PROTOCOL);
}

static void test_malformed_failure(void **state)
{
	each_call(state, fail_short, SCRY_E_PROTOCOL);
	each_call(state, fail_unknown, SCRY_E_PROTOCOL);
}

static void test_failure_text(void **state)
{
	struct hostile *h = *state;

	each_call(state, fail_endless, SCRY_E_TIMEOUT);
	hostile_spoil(h, SCRY_AGENT_HELLO, fail_endless);
	assert_error(SCRY_E_TIMEOUT, call_open(h));
	assert_null(strchr(scry_errmsg(), '\033'));
}

static void test_good(void **state)
{
	each_call(state, NULL, 0);
}

static int start_late(void **state)
{
	struct hostile *h;

	if (hostile_start(state) < 0)
		return -1;
	h = *state;
	endpoint_end(&h->endpoint);
	h->endpoint.starts_late = true;
	endpoint_start(&h->endpoint);
	return 0;
}

/* The agent's socket has its name, and does not listen yet. */
static void test_starting(void **state)
{
	struct hostile *h = *state;

	hostile_open(h);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, hostile_start, hostile_end)
	const struct CMUnitTest tests[] = {
		TEST(good), TEST(empty), TEST(tiny), TEST(bare), TEST(short), TEST(long),
		TEST(huge), TEST(other), TEST(silent), TEST(hang_up), TEST(too_many_files),
		TEST(malformed_failure), TEST(failure_text),
		cmocka_unit_test_setup_teardown(test_starting, start_late, hostile_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
