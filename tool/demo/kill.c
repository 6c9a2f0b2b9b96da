/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "../common/message.h"
#include "../common/stop.h"
#include "../common/term.h"
#include "../common/words.h"
#include "demo.h"

#define KILLS 5
#define EVENTS_BEFORE 20
#define TICKS_AFTER 2
#define PATIENCE_MS 20000
#define SELF "/proc/self/exe"

static int start_tracer(const struct demo *d, struct child *tracer)
{
	static const char *const events[] = { "cr3", "cpuid", "msr", "--json", NULL };
	struct words words = { 0 };
	int ret;

	words_add(&words, SELF);
	words_add(&words, "trace");
	words_addf(&words, "qemu:%s", d->name);
	for (const char *const *word = events; *word; word++)
		words_add(&words, *word);
	ret = child_start(tracer, words.v, CHILD_NO_INPUT);
	words_free(&words);
	return ret < 0 ? fail("cannot start a tracer: %s", strerror(-ret)) : 0;
}

/* Wait for some of the events that it prints. */
static int read_events(struct demo *d, struct child *tracer, uint64_t *events)
{
	uint64_t end = now_ns() + PATIENCE_MS * UINT64_C(1000000);
	uint64_t lines = 0;
	char buf[4096];

	while (lines < EVENTS_BEFORE) {
		ssize_t n = child_read(tracer, buf, sizeof(buf), 50);

		if (stop_asked())
			return fail("interrupted");
		if (n < 0 || now_ns() > end)
			return fail("the tracer saw no events: %.*s", n > 0 ? (int)n : 0, buf);
		for (ssize_t i = 0; i < n; i++)
			lines += buf[i] == '\n';
		/* QEMU must not wait for its console to be read. */
		if (demo_wait(d, NULL, 0, NULL))
			return EXIT_FAILURE;
	}
	*events += lines;
	return 0;
}

/* A tracer killed while events stream, and the next client at once. */
static int kill_one(struct demo *d, uint64_t *events)
{
	struct child tracer;
	int ret;

	demo_detach(d);
	ret = start_tracer(d, &tracer);
	if (ret)
		return ret;
	ret = read_events(d, &tracer, events);
	if (tracer.pid > 0)
		kill(tracer.pid, SIGKILL);
	if (!ret)
		ret = demo_attach(d);
	child_end(&tracer);
	return ret;
}

static bool has_gone_on(const struct demo *d)
{
	return d->console.ticks >= d->mark + TICKS_AFTER;
}

int demo_kill(struct demo *d)
{
	uint64_t events = 0, first = d->console.tick;

	d->on_event = NULL;
	d->attach_ms = 0;
	for (int i = 0; i < KILLS; i++)
		if (kill_one(d, &events))
			return EXIT_FAILURE;
	d->events += events;
	show("%d times: 'scry trace' started, and killed with SIGKILL while events streamed",
	     KILLS);
	d->mark = d->console.ticks;
	if (demo_wait(d, has_gone_on, PATIENCE_MS, "the guest did not go on"))
		return EXIT_FAILURE;
	if (d->console.bad_sums)
		return fail("the guest's checksum was wrong %u times", d->console.bad_sums);
	show("guest: tick %" PRIu64 " to tick %" PRIu64 ", every checksum OK", first,
	     d->console.tick);
	show_ok("the guest went on undisturbed; the next client was in after %.1f ms at most",
		d->attach_ms);
	return 0;
}
