/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../common/message.h"
#include "../common/term.h"
#include "../trace/print.h"
#include "demo.h"

#define STREAM_MS 5000
#define SAMPLES 10		/* events shown one by one */
#define PATIENCE_MS 20000

static void print_sample(struct demo *d, const struct scry_event *event, struct scry_reply *reply)
{
	(void)reply;
	if (d->step_events > SAMPLES)
		return;
	event_print(event, now_ns() - d->step_began, false, NULL);
	fflush(stdout);
}

static int subscribe_stream(struct demo *d)
{
	static const enum scry_event_kind kinds[] = {
		SCRY_EVENT_CR_WRITE, SCRY_EVENT_CPUID, SCRY_EVENT_MSR_READ, SCRY_EVENT_MSR_WRITE,
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct scry_subscription sub = { .sz = sizeof(sub), .kind = kinds[i] };

		if (kinds[i] == SCRY_EVENT_CR_WRITE)
			sub.cr.cr = 3;
		if (demo_subscribe(d, &sub) < 0)
			return EXIT_FAILURE;
	}
	return 0;
}

/* Everything that a kind of event should show. */
static int check_counts(const struct demo *d)
{
	if (!d->counts[SHOWN_CR3])
		return fail("no CR3 write was seen");
	if (!d->counts[SHOWN_CPUID])
		return fail("no CPUID was seen");
	if (!d->counts[SHOWN_RDMSR] && !d->counts[SHOWN_WRMSR])
		return fail("no MSR access was seen");
	return 0;
}

int demo_stream(struct demo *d)
{
	double seconds;

	event_heading(false);
	d->on_event = print_sample;
	if (subscribe_stream(d))
		return EXIT_FAILURE;
	d->step_began = now_ns();
	if (demo_wait(d, NULL, 1500, NULL))
		return EXIT_FAILURE;
	d->live = true;
	if (demo_wait(d, NULL, STREAM_MS - 1500, NULL))
		return EXIT_FAILURE;
	d->live = false;
	show_live_end();
	seconds = (double)(now_ns() - d->step_began) / 1e9;
	show_ok("%" PRIu64 " events in %.1f s, each answered while its vCPU waited:",
		d->step_events, seconds);
	for (enum shown_kind kind = 0; kind < SHOWN_COUNT; kind++)
		if (d->counts[kind])
			show("%-6s %8" PRIu64 "  %8.1f per second", shown_name(kind),
			     d->counts[kind], (double)d->counts[kind] / seconds);
	/* A new client has no subscriptions. */
	demo_detach(d);
	return check_counts(d) ? EXIT_FAILURE : demo_attach(d);
}

static uint32_t letters(const char *text)
{
	uint32_t value;

	memcpy(&value, text, sizeof(value));
	return value;
}

/* Instead of the instruction: our answer. */
static void lie(struct demo *d, const struct scry_event *event, struct scry_reply *reply)
{
	uint64_t *gpr = d->reply_regs.gpr;

	gpr[SCRY_REG_RAX] = event->cpuid.eax;
	gpr[SCRY_REG_RBX] = letters(DEMO_VENDOR);
	gpr[SCRY_REG_RDX] = letters(&DEMO_VENDOR[4]);
	gpr[SCRY_REG_RCX] = letters(&DEMO_VENDOR[8]);
	reply->set = SCRY_REG_BIT(SCRY_REG_RAX) | SCRY_REG_BIT(SCRY_REG_RBX) |
		     SCRY_REG_BIT(SCRY_REG_RCX) | SCRY_REG_BIT(SCRY_REG_RDX);
	reply->regs = &d->reply_regs;
	reply->action = SCRY_SKIP;
}

static bool is_lied_to(const struct demo *d)
{
	return !strcmp(d->console.vendor, DEMO_VENDOR);
}

static bool is_told_the_truth(const struct demo *d)
{
	return d->console.vendor[0] && strcmp(d->console.vendor, DEMO_VENDOR);
}

int demo_vendor(struct demo *d)
{
	struct scry_subscription sub = { .sz = sizeof(sub), .kind = SCRY_EVENT_CPUID,
					 .cpuid = { .use_leaf = 1, .leaf = 0 } };
	int number;

	if (demo_wait(d, is_told_the_truth, PATIENCE_MS, "the guest prints no 'guest: vendor'"))
		return EXIT_FAILURE;
	show("before     guest: vendor %s", d->console.vendor);
	d->on_event = lie;
	number = demo_subscribe(d, &sub);
	if (number < 0)
		return EXIT_FAILURE;
	if (demo_wait(d, is_lied_to, PATIENCE_MS, "the guest was not given our answer to CPUID"))
		return EXIT_FAILURE;
	show("meanwhile  guest: vendor %s%s%s", colour(CYAN), d->console.vendor, colour(PLAIN));
	if (scry_unsubscribe(d->vm, number) < 0)
		return fail_lib();
	if (demo_wait(d, is_told_the_truth, PATIENCE_MS, "the true answer did not come back"))
		return EXIT_FAILURE;
	show("afterwards guest: vendor %s", d->console.vendor);
	show_ok("the guest read the vendor that we chose, and only while we chose it");
	return 0;
}

static void deny(struct demo *d, const struct scry_event *event, struct scry_reply *reply)
{
	(void)d;
	(void)event;
	reply->action = SCRY_DENY;
}

static bool wrmsr_worked(const struct demo *d)
{
	return d->console.wrmsrs > d->mark && !strcmp(d->console.wrmsr, "ok");
}

static bool wrmsr_failed(const struct demo *d)
{
	return d->console.wrmsrs > d->mark && !strncmp(d->console.wrmsr, "failed", 6);
}

/* The outcome that done() is for, of a write that began after now. */
static int await_wrmsr(struct demo *d, demo_done_fn done, const char *when, const char *what)
{
	d->mark = d->console.wrmsrs;
	if (demo_wait(d, done, PATIENCE_MS, what))
		return EXIT_FAILURE;
	show("%s guest: wrmsr 0x%" PRIx32 " %s", when, d->console.wrmsr_index, d->console.wrmsr);
	return 0;
}

int demo_deny(struct demo *d)
{
	struct scry_subscription sub = { .sz = sizeof(sub), .kind = SCRY_EVENT_MSR_WRITE };
	int number;

	if (await_wrmsr(d, wrmsr_worked, "before    ", "the guest prints no 'guest: wrmsr ... ok'"))
		return EXIT_FAILURE;
	sub.msr.count = 1;
	sub.msr.index[0] = d->console.wrmsr_index;
	d->on_event = deny;
	number = demo_subscribe(d, &sub);
	if (number < 0 ||
	    await_wrmsr(d, wrmsr_failed, "meanwhile ", "the guest's write was not denied"))
		return EXIT_FAILURE;
	if (scry_unsubscribe(d->vm, number) < 0)
		return fail_lib();
	if (await_wrmsr(d, wrmsr_worked, "afterwards", "the guest's writes did not come back"))
		return EXIT_FAILURE;
	show_ok("its WRMSR raised #GP as long as we said so; the guest took it as its processor's");
	return 0;
}
