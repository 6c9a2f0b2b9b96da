/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

#include "common/command.h"
#include "common/stop.h"
#include "common/target.h"
#include "common/term.h"

/* The longest until a signal that came just before the wait is seen. */
#define SLICE_MS 200

enum { KEY_FOR = KEY_FIRST_OWN };

/* Until a signal, the time (if any) is over, or the VM has ended. */
static int hold(struct scry_vm *vm, unsigned ms)
{
	uint64_t end = now_ns() + ms * UINT64_C(1000000);
	struct scry_event event;

	while (!stop_asked() && (!ms || now_ns() < end)) {
		uint64_t left = (end - now_ns()) / 1000000 + 1;
		int wait_ms = ms && left < SLICE_MS ? (int)left : SLICE_MS;

		/* Nothing is subscribed: only the VM's end can come. */
		if (scry_event_wait(vm, &event, 1, wait_ms) < 0)
			return fail_lib();
	}
	return 0;
}

static int pause_and_hold(struct scry_vm *vm, unsigned ms)
{
	struct scry_info info = { .sz = sizeof(info) };
	int ret;

	stop_on_signals();
	if (scry_info(vm, &info) < 0 || scry_pause(vm) < 0)
		return fail_lib();
	printf("VM %s is paused", info.name);
	if (ms)
		printf(" for %g second%s", ms / 1000.0, ms == 1000 ? "" : "s");
	printf(": %s, or 'scry resume %s', lets it go on\n",
	       isatty(STDIN_FILENO) ? "Ctrl-C" : "a signal", info.name);
	fflush(stdout);
	ret = hold(vm, ms);
	if (!ret) {
		if (scry_resume(vm) < 0)
			return fail_lib();
		printf("VM %s goes on\n", info.name);
	}
	return ret;
}

static int pause_vm(struct args *args)
{
	struct scry_vm *vm;
	const char *uri;
	unsigned ms = 0;
	int ret;

	while (next_option(args) >= 0)
		ms = seconds_arg(args, optarg);
	uri = next_word(args, "VM");
	no_more_words(args);
	if (open_vm(uri, &vm))
		return EXIT_FAILURE;
	ret = pause_and_hold(vm, ms);
	scry_close(vm);
	return ret;
}

const struct command cmd_pause = {
	.name = "pause",
	.summary = "hold all of a VM's vCPUs and its clocks",
	.usage = "[--for SECONDS] VM",
	.about = "Holds the VM for as long as this command runs: until Ctrl-C, SIGTERM or\n"
		 "'scry resume VM', or for SECONDS. However it ends, the VM goes on then.\n"
		 "Meanwhile it is this VM's client, so that no other can attach.",
	.opts = (const struct opt[]){
		{ KEY_FOR, "for", "SECONDS", "go on after that time" },
		{ 0 },
	},
	.example = "scry pause web --for 10",
	.run = pause_vm,
};
