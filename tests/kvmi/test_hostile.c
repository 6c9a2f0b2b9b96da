/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every field of every message with other values; and whole sessions with bytes changed at random. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../lib/test.h"
#include "hostile.h"

static enum kvmi_generation generation;
static char path[80];

/* The first message of this id has another value somewhere. */
struct change {
	uint16_t id;
	int event;			/* of events, which */
	size_t offset;			/* from the header's beginning */
	uint8_t mask;
	bool made;
};

static bool is_meant(const struct peer *p, const struct change *c, const struct kvmi_header *h,
		     const uint8_t *payload)
{
	if (h->id != c->id)
		return false;
	if (c->event < 0)
		return true;
	return payload[p->generation == KVMI_V7 ? 4 : 0] ==
	       kvmi_event_id(p->generation, (enum kvmi_event)c->event);
}

static void change_one(struct peer *p, struct kvmi_header *h, uint8_t *payload)
{
	struct change *c = p->opaque;
	uint8_t *at;

	if (c->made || !is_meant(p, c, h, payload))
		return;
	at = c->offset < sizeof(*h) ? (uint8_t *)h + c->offset : payload + c->offset - sizeof(*h);
	*at ^= c->mask;
	c->made = true;
}

static unsigned sessions, failed;

/* An XSAVE area may be longer. */
static bool is_any_length(const struct change *c)
{
	return c->id == kvmi_command_id(generation, KVMI_GET_XSAVE) &&
	       c->offset >= offsetof(struct kvmi_header, size) &&
	       c->offset < offsetof(struct kvmi_header, seq);
}

static void try_change(struct change c)
{
	static const uint8_t masks[] = { 0xff, 0x01 };
	int ret = 0;

	/* Of the status a bit more or less is an error as good as another. */
	for (size_t i = 0; i < (c.offset < sizeof(struct kvmi_header) ? 2 : 1); i++) {
		c.mask = masks[i];
		c.made = false;
		/* On a busy host a session may end before it comes to that message. */
		for (int tries = 0; !c.made && tries < 20; tries++) {
			struct peer p = { .spoil = change_one, .opaque = &c };

			ret = hostile_session(&p, generation, path, HOSTILE_TIMEOUT_MS, NULL);
		}
		sessions++;
		failed += ret < 0;
		if (!c.made)
			fail_msg("no message has id %u, event %d", c.id, c.event);
		/* A reply that is to nothing, or of another length, is never taken for one. */
		if (c.offset < sizeof(struct kvmi_header) && !ret && !is_any_length(&c))
			fail_msg("id %u, event %d: byte %zu of its header ^ 0x%x goes unseen", c.id,
				 c.event, c.offset, c.mask);
	}
}

/* Commands that the session has replies to. */
static const enum kvmi_command commands[] = {
	KVMI_GET_VERSION, KVMI_CHECK_COMMAND, KVMI_CHECK_EVENT, KVMI_GET_INFO,
	KVMI_VM_CONTROL_EVENTS, KVMI_READ_PHYSICAL, KVMI_WRITE_PHYSICAL, KVMI_PAUSE,
	KVMI_SET_PAGE_ACCESS, KVMI_VCPU_CONTROL_EVENTS, KVMI_GET_REGISTERS, KVMI_SET_REGISTERS,
	KVMI_CONTROL_CR, KVMI_INJECT_EXCEPTION, KVMI_GET_XCR, KVMI_GET_XSAVE, KVMI_SET_XSAVE,
	KVMI_CONTROL_MSR, KVMI_CONTROL_SINGLESTEP,
};

static void test_replies(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		/* The header, the status, and what begins the data. */
		for (size_t offset = 0; offset < 24; offset += offset < 8 ? 1 : 3) {
			struct change c = { .event = -1, .offset = offset };

			/* Payloads of those end with the status. */
			if (offset > 14 && commands[i] != KVMI_GET_VERSION &&
			    commands[i] != KVMI_GET_INFO)
				break;
			c.id = (uint16_t)kvmi_command_id(generation, commands[i]);
			try_change(c);
		}
	print_message("%u sessions, %u with a failure\n", sessions, failed);
}

static void test_events(void **state)
{
	static const enum kvmi_event events[] = {
		KVMI_EVENT_PAUSE, KVMI_EVENT_CR, KVMI_EVENT_MSR, KVMI_EVENT_DESCRIPTOR,
		KVMI_EVENT_PF, KVMI_EVENT_BREAKPOINT,
	};
	size_t v12 = generation == KVMI_V12 ? sizeof(struct kvmi_v12_event) : 0;
	const size_t first = sizeof(struct kvmi_header) + v12;
	const size_t part = first + sizeof(struct kvmi_v7_event);
	const size_t offsets[] = { 0, 2, 3, 4, first, first + 1, first + 2, first + 3, first + 8,
				   part, part + 8, part + 16 };

	(void)state;
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		for (size_t n = 0; n < sizeof(offsets) / sizeof(offsets[0]); n++)
			for (int tries = 0; tries < 20; tries++) {
				struct change c = { .id = KVMI_V7_EVENT, .event = (int)events[i],
						    .offset = offsets[n],
						    .mask = n % 2 ? 0xff : 0x01 };
				struct peer p = { .spoil = change_one, .opaque = &c };

				hostile_session(&p, generation, path, HOSTILE_TIMEOUT_MS, NULL);
				if (c.made)
					break;
				assert_true(tries < 19);
			}
}

struct dice {
	uint64_t state;
};

static unsigned roll(struct dice *d, unsigned sides)
{
	d->state = d->state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(d->state >> 33) % sides;
}

static void change_some(struct peer *p, struct kvmi_header *h, uint8_t *payload)
{
	struct dice *d = p->opaque;

	if (roll(d, 40))
		return;
	for (unsigned n = roll(d, 3) + 1; n; n--) {
		size_t at = roll(d, sizeof(*h) + h->size + 8u);

		if (at < sizeof(*h))
			((uint8_t *)h)[at] = (uint8_t)roll(d, 256);
		else
			payload[at - sizeof(*h)] = (uint8_t)roll(d, 256);
	}
}

#define SEEDS 40

static void test_random(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= SEEDS; seed++) {
		struct dice dice = { seed };
		struct peer p = { .spoil = change_some, .opaque = &dice };

		hostile_session(&p, generation, path, HOSTILE_TIMEOUT_MS, NULL);
	}
}

/* Unspoilt, so that the others are known to fail for what was spoilt. */
static void test_unspoilt(void **state)
{
	struct peer p = { 0 };
	const char *which;

	(void)state;
	if (hostile_session(&p, generation, path, 20000, &which) < 0)
		fail_msg("%s: %s", which, scry_errmsg());
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unspoilt), cmocka_unit_test(test_replies),
		cmocka_unit_test(test_events), cmocka_unit_test(test_random),
	};
	char dir[] = "/tmp/scry-kvmi-XXXXXX";
	unsigned before;
	int ret;

	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/sock", dir);
	generation = argc > 1 && !strcmp(argv[1], "v7") ? KVMI_V7 : KVMI_V12;
	before = hostile_descriptors();
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	if (hostile_descriptors() != before) {
		fputs("descriptors stay open\n", stderr);
		ret = 1;
	}
	rmdir(dir);
	return ret;
}
