/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../common/agentpath.h"
#include "../common/message.h"
#include "../common/stop.h"
#include "../common/target.h"
#include "../common/term.h"
#include "../common/words.h"
#include "demo.h"

#define RAM_MIB 256
#define LOOK_NS 20000000u	/* how often to look at the console while events stream */
#define ATTACH_MS 5000

/* "demo", unless one runs already. */
static int choose_name(struct demo *d)
{
	struct vm_found found;
	int ret = find_vm("demo", &found);

	if (ret < 0)
		return fail_lib();
	if (ret)
		snprintf(d->name, sizeof(d->name), "demo-%d", (int)getpid());
	else
		strcpy(d->name, "demo");
	return 0;
}

static void add_words(struct words *w, const struct demo *d, const char *agent)
{
	static const char *const fixed[] = {
		"-accel", "tcg", "-nodefaults", "-no-reboot", "-display", "none",
		"-serial", "stdio", "-append", "console=ttyS0 panic=-1 scry.mode=demo", NULL,
	};

	words_add(w, d->qemu);
	words_add(w, "-m");
	words_addf(w, "%d", RAM_MIB);
	words_add(w, "-smp");
	words_addf(w, "%d", DEMO_VCPUS);
	words_add(w, "-kernel");
	words_add(w, d->kernel);
	words_add(w, "-initrd");
	words_add(w, d->initrd);
	for (const char *const *word = fixed; *word; word++)
		words_add(w, *word);
	for (char *const *word = d->qemu_args; *word; word++)
		words_add(w, *word);
	words_add(w, "-object");
	words_addf(w, "memory-backend-memfd,id=scry-ram,size=%dM,share=on", RAM_MIB);
	words_add(w, "-machine");
	words_add(w, "memory-backend=scry-ram");
	words_add(w, "-plugin");
	words_addf(w, "%s,name=%s", agent, d->name);
}

int demo_start(struct demo *d)
{
	char *agent = agent_path_checked();
	struct words words = { 0 };
	int ret;

	if (!agent)
		return EXIT_FAILURE;
	ret = choose_name(d);
	if (!ret) {
		add_words(&words, d, agent);
		ret = child_start(&d->child, words.v, CHILD_INPUT);
		if (ret < 0)
			ret = fail("cannot run %s: %s", d->qemu, strerror(-ret));
	}
	words_free(&words);
	free(agent);
	return ret;
}

int demo_attach(struct demo *d)
{
	uint64_t began = now_ns();
	char uri[48];
	double ms;

	snprintf(uri, sizeof(uri), "qemu:%s", d->name);
	while (scry_open(&d->vm, uri, NULL) < 0) {
		d->vm = NULL;
		if (stop_asked() || now_ns() - began > ATTACH_MS * UINT64_C(1000000))
			return fail_lib();
		usleep(1000);
	}
	ms = (double)(now_ns() - began) / 1e6;
	if (ms > d->attach_ms)
		d->attach_ms = ms;
	return 0;
}

void demo_detach(struct demo *d)
{
	scry_close(d->vm);
	d->vm = NULL;
}

void demo_end(struct demo *d)
{
	demo_detach(d);
	child_end(&d->child);
}

int demo_subscribe(struct demo *d, const struct scry_subscription *sub)
{
	int ret = scry_subscribe(d->vm, sub);

	if (ret < 0)
		fail_lib();
	return ret;
}

/* Take what the console has, waiting at most ms for it: false once QEMU has ended. */
static bool take_console(struct demo *d, int ms)
{
	char buf[4096];
	ssize_t n;

	while ((n = child_read(&d->child, buf, sizeof(buf), ms)) > 0) {
		console_feed(&d->console, buf, (size_t)n);
		ms = 0;
	}
	return n == 0;
}

static int answer(struct demo *d, const struct scry_event *event)
{
	struct scry_reply reply = { .sz = sizeof(reply) };

	d->events++;
	d->step_events++;
	d->counts[shown_kind(event)]++;
	if (d->on_event)
		d->on_event(d, event, &reply);
	return scry_reply(d->vm, event, &reply);
}

/* Answer events for a moment. */
static int take_events(struct demo *d)
{
	uint64_t end = now_ns() + LOOK_NS;
	struct scry_event events[DEMO_VCPUS];

	do {
		int n = scry_event_wait(d->vm, events, DEMO_VCPUS, (int)(LOOK_NS / 1000000));

		for (int i = 0; i < n; i++) {
			int ret = answer(d, &events[i]);

			if (ret < 0)
				return ret;
		}
		if (n <= 0)
			return n;
	} while (now_ns() < end);
	return 0;
}

/* What the console said last, for whoever has to find out why. */
static int give_up(const struct demo *d, const char *what)
{
	const struct console *c = &d->console;
	unsigned first = c->lines > CONSOLE_KEPT ? c->lines - CONSOLE_KEPT : 0;

	show_live_end();
	for (unsigned i = first; i < c->lines; i++)
		show("console: %s", c->kept[i % CONSOLE_KEPT]);
	return fail("%s", what);
}

static void show_progress(const struct demo *d, uint64_t now)
{
	double seconds = (double)(now - d->step_began) / 1e9;

	if (!d->live)
		return;
	if (d->vm)
		show_live("%5.1f s  %" PRIu64 " events, %.0f per second", seconds, d->step_events,
			  (double)d->step_events / seconds);
	else
		show_live("%5.1f s  %s", seconds, console_last(&d->console));
}

int demo_wait(struct demo *d, demo_done_fn done, unsigned ms, const char *what)
{
	uint64_t end = now_ns() + ms * UINT64_C(1000000);

	while (!done || !done(d)) {
		uint64_t now = now_ns();
		int ret = d->vm ? take_events(d) : 0;

		if (stop_asked())
			return fail("interrupted");
		if (!take_console(d, d->vm ? 0 : 50))
			return give_up(d, "QEMU has ended, or closed the guest's console");
		if (ret < 0)
			return give_up(d, scry_errmsg());
		if (now > end)
			return done ? give_up(d, what) : 0;
		show_progress(d, now);
	}
	return 0;
}
