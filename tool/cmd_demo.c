/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/command.h"
#include "common/stop.h"
#include "common/term.h"
#include "demo/demo.h"

enum { KEY_KERNEL = KEY_FIRST_OWN, KEY_INITRD, KEY_QEMU };

static const struct {
	const char *title;
	int (*run)(struct demo *d);
} steps[] = {
	{ "A Linux guest boots", demo_boot },
	{ "Its vCPUs, registers and memory map, from the outside", demo_look },
	{ "Its kernel's banner, found in its memory", demo_banner },
	{ "Live: CR3 writes, CPUID and MSR accesses", demo_stream },
	{ "Another answer to CPUID, under the guest's eyes", demo_vendor },
	{ "A write to an MSR, denied", demo_deny },
	{ "A hidden breakpoint where system calls enter the kernel", demo_breakpoint },
	{ "Intel PT packets of all that it executes", demo_packets },
	{ "The tool killed in mid-stream", demo_kill },
	{ "Figures", demo_figures },
};

#define STEPS (sizeof(steps) / sizeof(steps[0]))

static int run_steps(struct demo *d)
{
	for (size_t i = 0; i < STEPS; i++) {
		show_step((unsigned)i + 1, STEPS, steps[i].title);
		d->step_began = now_ns();
		d->step_events = 0;
		memset(d->counts, 0, sizeof(d->counts));
		if (steps[i].run(d)) {
			show_live_end();
			return EXIT_FAILURE;
		}
		/* Nobody looks: main() says why, if there is anything to say. */
		if (ferror(stdout))
			return EXIT_FAILURE;
	}
	printf("\n%sAll of it on an unpatched QEMU and an unpatched guest.%s "
	       "Your own: 'scry run --help'\n", colour(BOLD), colour(PLAIN));
	return 0;
}

static int demo(struct args *args)
{
	struct demo d = { .qemu = "qemu-system-x86_64", .child = { .fd = -1, .in = -1 },
			   .began = now_ns() };
	int key, ret;

	while ((key = next_option(args)) >= 0) {
		if (key == KEY_KERNEL)
			d.kernel = optarg;
		else if (key == KEY_INITRD)
			d.initrd = optarg;
		else
			d.qemu = optarg;
	}
	if (!d.kernel || !d.initrd)
		usage_error(args, "--kernel and --initrd are needed (scripts/demo makes both)");
	d.qemu_args = args->argv + args->next;
	stop_on_signals();
	/* A reader that goes away must not leave QEMU running: the next write fails instead. */
	signal(SIGPIPE, SIG_IGN);
	ret = run_steps(&d);
	demo_end(&d);
	return ret;
}

const struct command cmd_demo = {
	.name = "demo",
	.summary = "boot a Linux guest and show all of this on it",
	.usage = "--kernel FILE --initrd FILE [--qemu BINARY] [-- QEMU-ARGS...]",
	.about = "Shows the main job step by step on a guest of its own, in less than two\n"
		 "minutes. scripts/demo in scry's sources fetches a kernel, makes the initial\n"
		 "RAM disk whose init tells on the console what it sees, and calls this.",
	.opts = (const struct opt[]){
		{ KEY_KERNEL, "kernel", "FILE", "the Linux kernel to boot" },
		{ KEY_INITRD, "initrd", "FILE", "the initial RAM disk of scry's sources" },
		{ KEY_QEMU, "qemu", "BINARY", "the QEMU to run (default: qemu-system-x86_64)" },
		{ 0 },
	},
	.example = "scry demo --kernel vmlinuz --initrd guest.cpio.gz",
	.options_first = true,
	.run = demo,
};
