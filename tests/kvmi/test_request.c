/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The server's look at what a tool sends: whatever it is, no byte too many is read. */
#include <stdlib.h>

#include "../lib/test.h"
#include "agent/kvmi/ids.h"
#include "agent/kvmi/mailbox.h"
#include "agent/kvmi/options.h"
#include "protocol/futex.h"
#include "request_use.h"

#define ROUNDS 400000

static uint64_t random_state = 0x5eed;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* A payload of its own allocation, so that the sanitizer sees a read behind it. */
static uint8_t *random_payload(size_t size)
{
	uint8_t *payload = malloc(size ? size : 1);

	assert_non_null(payload);
	for (size_t i = 0; i < size; i++) {
		uint64_t r = next_random();

		payload[i] = r % 4 ? 0 : r % 8 ? (uint8_t)(r >> 8) : (uint8_t)(r >> 8) % 16;
	}
	return payload;
}

static size_t random_size(void)
{
	uint64_t r = next_random();

	return r % 8 ? (r >> 8) % 64 : (r >> 8) % (KVMI_PAYLOAD_MOST + 1);
}

static volatile unsigned sum;	/* so that what is read is read */

/* Use all that a request that was found right points to. */
static void use_request(const struct kvmi_request *r)
{
	struct kvmi_page_access_entry entry;

	sum += request_use(r);
	switch (r->command) {
	case KVMI_WRITE_PHYSICAL:
	case KVMI_READ_PHYSICAL:
		assert_in_range(r->physical.size, 1, KVMI_PAGE - r->physical.gpa % KVMI_PAGE);
		break;
	case KVMI_SET_PAGE_ACCESS:
		assert_in_range(r->access.count, 0, KVMI_PAGE_ACCESS_MOST);
		assert_in_range(r->access.view, 0, KVMI_V7_VIEWS - 1);
		for (unsigned i = 0; i < r->access.count; i++)
			if (kvmi_access_take(r->access.entries, i, &entry) == 0)
				assert_in_range(entry.access, 0, 7);
		break;
	case KVMI_GET_REGISTERS:
		assert_in_range(r->msrs.count, 0, KVMI_MSRS_MOST);
		break;
	case KVMI_INJECT_EXCEPTION:
		assert_in_range(r->inject.vector, 0, 31);
		break;
	default:
		break;
	}
}

static void test_requests(void **state)
{
	unsigned right[2] = { 0, 0 };

	(void)state;
	for (unsigned i = 0; i < ROUNDS; i++) {
		enum kvmi_generation g = i % 2 ? KVMI_V12 : KVMI_V7;
		int command = kvmi_command_of(g, (uint16_t)(next_random() % KVMI_V7_IDS));
		size_t size = random_size();
		struct kvmi_request r;
		uint8_t *payload;
		int status;

		if (command == KVMI_NONE)
			continue;
		payload = random_payload(size);
		status = kvmi_request_take(g, (enum kvmi_command)command, payload, size, &r);
		assert_true(status == 0 || status == KVMI_HANG_UP || status == -KVMI_EINVAL ||
			    (status == -KVMI_ENOMEM && g == KVMI_V7));
		if (status == 0) {
			use_request(&r);
			right[g]++;
		}
		free(payload);
	}
	assert_true(right[KVMI_V7] > 1000 && right[KVMI_V12] > 1000);
}

static void test_replies(void **state)
{
	unsigned right = 0;

	(void)state;
	for (unsigned i = 0; i < ROUNDS; i++) {
		enum kvmi_generation g = i % 2 ? KVMI_V12 : KVMI_V7;
		int event = kvmi_event_of(g, (uint16_t)(next_random() % 20));
		uint64_t r = next_random();
		size_t size = r % 4 ? 16 + (r >> 8) % 16 : (r >> 8) % 320;
		struct kvmi_reply reply;
		uint8_t *payload;

		if (event == KVMI_NONE)
			continue;
		payload = random_payload(size);
		if (kvmi_reply_take(g, (enum kvmi_event)event, payload, size, &reply) == 0) {
			assert_in_range(reply.action, KVMI_CONTINUE, KVMI_CRASH);
			assert_in_range(reply.pf.size, 0, sizeof(reply.pf.data));
			right++;
		}
		free(payload);
	}
	assert_true(right > 1000);
}

/* v12 looks at every byte of padding. */
static void test_padding(void **state)
{
	static const struct {
		enum kvmi_command command;
		size_t size, pad_at;
		uint8_t first;		/* byte 0 of what is right without it */
	} cases[] = {
		{ KVMI_CHECK_COMMAND, 8, 2, 8 },
		{ KVMI_CHECK_EVENT, 8, 2, 1 },
		{ KVMI_VM_CONTROL_EVENTS, 8, 3, 0 },
		{ KVMI_PAUSE, 8, 3, 0 },
		{ KVMI_CONTROL_CLEANUP, 8, 1, 0 },
		{ KVMI_SET_PAGE_ACCESS, 8, 2, 0 },
		{ KVMI_VCPU_CONTROL_EVENTS, 16, 11, 0 },
		{ KVMI_GET_REGISTERS, 16, 10, 0 },
		{ KVMI_CONTROL_CR, 16, 10, 0 },
		{ KVMI_CONTROL_MSR, 16, 9, 0 },
		{ KVMI_INJECT_EXCEPTION, 16, 9, 0 },
		{ KVMI_GET_XCR, 16, 9, 0 },
		{ KVMI_CONTROL_SINGLESTEP, 16, 9, 0 },
		{ KVMI_VCPU_GET_INFO, 8, 2, 0 },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t end = cases[i].command == KVMI_CONTROL_MSR ||
			     cases[i].command == KVMI_INJECT_EXCEPTION ? 12 : cases[i].size;
		uint8_t payload[24] = { cases[i].first };
		struct kvmi_request r;

		/* An event of a vCPU's: PAUSE. */
		payload[8] = cases[i].command == KVMI_VCPU_CONTROL_EVENTS;
		assert_int_equal(kvmi_request_take(KVMI_V12, cases[i].command, payload, cases[i].size, &r), 0);
		for (size_t at = cases[i].pad_at; at < end; at++) {
			payload[at] = 1;
			assert_int_equal(kvmi_request_take(KVMI_V12, cases[i].command, payload,
							   cases[i].size, &r), -KVMI_EINVAL);
			payload[at] = 0;
		}
	}
}

static void test_ids(void **state)
{
	(void)state;
	for (unsigned id = 0; id <= UINT16_MAX; id++) {
		int v12 = kvmi_command_of(KVMI_V12, (uint16_t)id);
		int v7 = kvmi_command_of(KVMI_V7, (uint16_t)id);

		/* v12: commands to the VM are even, those to a vCPU odd. */
		if (v12 != KVMI_NONE)
			assert_int_equal(id % 2, kvmi_is_vcpus((enum kvmi_command)v12));
		assert_true(v7 == KVMI_NONE || id < KVMI_V7_IDS);
	}
	assert_int_equal(kvmi_check_command(KVMI_V12, 0), -KVMI_ENOENT);
	assert_int_equal(kvmi_check_command(KVMI_V7, 64), -KVMI_EINVAL);
	assert_int_equal(kvmi_check_command(KVMI_V7, 12), -KVMI_EPERM);
	assert_int_equal(kvmi_check_event(KVMI_V7, 14), -KVMI_EINVAL);
}

static void test_mailbox(void **state)
{
	struct kvmi_mailbox box;
	struct kvmi_header header = { .size = 3 };
	struct kvmi_mail *mail;
	unsigned n = 0;

	(void)state;
	kvmi_mailbox_init(&box);
	assert_true(kvmi_mailbox_is_empty(&box));
	while (kvmi_mailbox_put(&box, &header, "abc", n % 2, false) == 0)
		header.seq = ++n;
	assert_int_equal(n, KVMI_MAILS);
	for (unsigned i = 0; i < 4000; i++) {
		mail = kvmi_mailbox_take(&box);
		assert_int_equal(mail->header.seq, i);
		assert_int_equal(mail->silent, i % 2);
		assert_memory_equal(mail->payload, "abc", 3);
		free(mail);
	}
	kvmi_mailbox_clear(&box);
	assert_null(kvmi_mailbox_take(&box));
	assert_int_equal(kvmi_mailbox_put(&box, &header, "abc", false, false), 0);
	kvmi_mailbox_clear(&box);
	assert_true(kvmi_mailbox_is_empty(&box));
}

/* Looking in vain is given up, but for a try now and then; with one that is not, it is as before. */
static void test_habit(void **state)
{
	struct scry_habit habit = { 0 };
	unsigned looks = 0;

	(void)state;
	for (unsigned i = 0; i < 4000; i++)
		if (scry_habit_looks(&habit)) {
			looks++;
			scry_habit_learn(&habit, false);
		}
	assert_in_range(looks, 10, 30);
	while (!scry_habit_looks(&habit))
		looks++;
	assert_in_range(looks, 10, 30 + (1u << SCRY_HABIT_MOST));
	for (unsigned i = 0; i < 100; i++) {
		scry_habit_learn(&habit, true);
		assert_true(scry_habit_looks(&habit));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests), cmocka_unit_test(test_replies),
		cmocka_unit_test(test_padding),	 cmocka_unit_test(test_ids),
		cmocka_unit_test(test_mailbox),	 cmocka_unit_test(test_habit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
