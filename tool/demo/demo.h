/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DEMO_H
#define DEMO_H

#include <scry/scry.h>
#include <stdbool.h>

#include "../common/child.h"
#include "../trace/shown.h"
#include "console.h"

#define DEMO_VCPUS 2
#define DEMO_INDENT "      "	/* of each line of a step */
#define DEMO_VENDOR "ScryWasHere!"	/* 12 letters, as CPUID's are */

struct demo;

/* Called for each event; may fill *reply, which means "continue" as it is. */
typedef void (*demo_event_fn)(struct demo *d, const struct scry_event *event,
			      struct scry_reply *reply);
typedef bool (*demo_done_fn)(const struct demo *d);

struct demo {
	const char *kernel, *initrd, *qemu;
	char *const *qemu_args;		/* more of them, NULL at the end */

	char name[32];
	struct child child;		/* QEMU */
	struct console console;
	struct scry_vm *vm;		/* NULL while no client is attached */
	uint64_t began;

	demo_event_fn on_event;
	struct scry_regs reply_regs;	/* that a reply points to */

	/* Of the step that runs. */
	unsigned mark;			/* a count of the console's that it waits to see pass */
	uint64_t step_began;
	uint64_t step_events, counts[SHOWN_COUNT];
	uint64_t *intervals;		/* between its events, in ns; or NULL */
	uint64_t last_event;		/* when; 0 = none yet */
	bool live;			/* show a line that tells how it goes */

	/* For the figures at the end. */
	uint64_t events;		/* received in all */
	double scan_rate;		/* bytes per second, looking for the banner */
	double attach_ms;		/* the longest until a new client was in */
};

/* guest.c: each returns 0, or EXIT_FAILURE with the reason said. */
int demo_start(struct demo *d);		/* QEMU runs */
int demo_attach(struct demo *d);	/* d->vm is open */
void demo_detach(struct demo *d);
void demo_end(struct demo *d);		/* QEMU has ended, nothing is left behind */

/* Its number, or < 0 with the reason said. */
int demo_subscribe(struct demo *d, const struct scry_subscription *sub);

/*
 * Take events and console lines until done() says so, which it must within ms;
 * with done NULL for ms.
 */
int demo_wait(struct demo *d, demo_done_fn done, unsigned ms, const char *what);

/* The steps, in their order; the same returns. */
int demo_boot(struct demo *d);
int demo_look(struct demo *d);
int demo_banner(struct demo *d);
int demo_stream(struct demo *d);
int demo_vendor(struct demo *d);
int demo_deny(struct demo *d);
int demo_breakpoint(struct demo *d);
int demo_packets(struct demo *d);
int demo_kill(struct demo *d);
int demo_figures(struct demo *d);

/* show.c */
void show_step(unsigned number, unsigned of, const char *title);
void show(const char *format, ...) __attribute__((format(printf, 1, 2)));	/* a line of it */
void show_ok(const char *format, ...) __attribute__((format(printf, 1, 2)));	/* it did it */
/* On a terminal: a line that the next one replaces. */
void show_live(const char *format, ...) __attribute__((format(printf, 1, 2)));
void show_live_end(void);

#endif
