/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/command.h"
#include "common/parse.h"
#include "common/stop.h"
#include "common/target.h"
#include "trace/expr.h"
#include "trace/trace.h"

enum { KEY_FOR = KEY_FIRST_OWN, KEY_ON_CHANGE, KEY_REGS, KEY_SITES, KEY_STAT };

/* Is its name right, at least? */
static void __attribute__((noreturn)) no_event(struct args *args, const char *text)
{
	static const char *const names[] = { "break", "mem", "io", "int", "msr", "rdmsr", "wrmsr", "cpuid",
					     "step", "desc", "shutdown", "watch" };
	size_t len = strcspn(text, ":");

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i]) == len && !strncmp(text, names[i], len))
			usage_error(args, "'%s' is not how %s is written (addresses are numbers, a "
				    "range is FIRST-LAST; break and watch take a symbol, too)", text, names[i]);
	usage_error(args, "'%s' is no event: use cr3, msr:lstar:w, cpuid, io:0x3f8 or another that the "
		    "help lists", text);
}

static bool add_watchpoint(struct args *args, struct trace *t, const char *text)
{
	struct watch_expression e;

	if (!parse_watchpoint(text, &e))
		return false;
	if (t->watch_count == SCRY_WATCHPOINTS)
		usage_error(args, "these are too many watchpoints: at most %d", SCRY_WATCHPOINTS);
	t->watches[t->watch_count++] = e;
	return true;
}

/* Add what one event expression asks for. */
static void add_event(struct args *args, struct trace *t, const char *text)
{
	struct scry_breakpoint *b = &t->breakpoints[t->breakpoint_count];
	struct scry_subscription subs[2];
	bool is_breakpoint = parse_breakpoint(text, b) ||
			     parse_breakpoint_by_name(text, b, &t->symbols[t->breakpoint_count]);
	int n = is_breakpoint ? 0 : parse_event(text, subs);

	if (!n && !is_breakpoint && add_watchpoint(args, t, text))
		return;
	if (!n && !is_breakpoint)
		no_event(args, text);
	if (t->sub_count + (size_t)n > TRACE_SUBS ||
	    t->breakpoint_count + is_breakpoint >= TRACE_SUBS)
		usage_error(args, "these are too many events: at most %d", TRACE_SUBS);
	t->breakpoint_count += is_breakpoint;
	for (int i = 0; i < n; i++)
		t->subs[t->sub_count++] = subs[i];
}

static bool has_cr(const struct trace *t)
{
	for (size_t i = 0; i < t->sub_count; i++)
		if (t->subs[i].kind == SCRY_EVENT_CR_WRITE)
			return true;
	return false;
}

/* What holds for all events, once all options are known. */
static void narrow(struct trace *t, uint64_t vcpus, bool on_change)
{
	for (size_t i = 0; i < t->sub_count; i++) {
		t->subs[i].vcpus = vcpus;
		if (t->subs[i].kind == SCRY_EVENT_CR_WRITE)
			t->subs[i].cr.on_change = on_change;
	}
	for (size_t i = 0; i < t->breakpoint_count; i++)
		t->breakpoints[i].vcpus = vcpus;
	for (size_t i = 0; i < t->watch_count; i++)
		t->watches[i].watchpoint.vcpus = vcpus;
}

static const char *parse(struct args *args, struct trace *t)
{
	bool on_change = false;
	const char *uri, *word;
	uint64_t vcpus = 0;
	int key;

	while ((key = next_option(args)) >= 0) {
		if (key == KEY_VCPU)
			vcpus |= vcpu_bit(args, optarg);
		else if (key == 'n')
			t->most = count_arg(args, optarg);
		else if (key == KEY_FOR)
			t->ms = seconds_arg(args, optarg);
		else if (key == KEY_ON_CHANGE)
			on_change = true;
		else if (key == KEY_REGS)
			t->registers = true;
		else if (key == KEY_SITES)
			t->sites_in = optarg;
		else if (key == KEY_STAT)
			t->stat = true;
		else if (key == 'q')
			t->quiet = true;
		else
			t->json = true;
	}
	uri = next_word(args, "VM");
	for (word = next_word(args, "EVENT"); word; word = next_word_or_null(args))
		add_event(args, t, word);
	if (on_change && !has_cr(t))
		usage_error(args, "--on-change is about CR writes: name one, such as cr3");
	narrow(t, vcpus, on_change);
	return uri;
}

static int trace(struct args *args)
{
	struct trace t = { 0 };
	const char *uri = parse(args, &t);
	int ret;

	if (open_vm(uri, &t.vm))
		return EXIT_FAILURE;
	/* Where it is no Linux, or not one yet, there is nobody to be named. */
	if ((!t.quiet || t.sites_in) && scry_linux_open(t.vm, &t.os) < 0)
		t.os = NULL;
	if (t.sites_in && !t.os) {
		ret = fail_lib();
		scry_close(t.vm);
		return ret;
	}
	stop_on_signals();
	ret = trace_run(&t);
	stat_free(&t.stats);
	sites_free(&t.sites);
	scry_linux_close(t.os);
	scry_close(t.vm);
	return ret;
}

const struct command cmd_trace = {
	.name = "trace",
	.summary = "live events of a VM's vCPUs, with rates and a summary",
	.usage = "[OPTIONS] VM EVENT...",
	.about = "Shows each event as it happens, until Ctrl-C, COUNT events, SECONDS, or the\n"
		 "VM's end, and then how many there were. The vCPU waits only until the event\n"
		 "has been taken. Of a Linux guest it also tells which process the vCPU runs\n"
		 "(PID 0 is the idle task). EVENT is one of\n"
		 EVENT_EXPRESSIONS
		 "r is reading, w writing, x executing; of a CR w is meant, of all else every one.\n"
		 "MSR is an index or a common name (lstar); rdmsr:MSR is msr:MSR:r, wrmsr:MSR is\n"
		 "msr:MSR:w.",
	.opts = (const struct opt[]){
		{ KEY_VCPU, "vcpu", "N", "only this vCPU; more than once for several" },
		{ 'n', "count", "COUNT", "end after so many events" },
		{ KEY_FOR, "for", "SECONDS", "end after that time" },
		{ KEY_ON_CHANGE, "on-change", NULL, "CR writes only where the value changes" },
		{ KEY_REGS, "regs", NULL, "the general registers with each event" },
		{ KEY_SITES, "sites", "FUNCTION", "cr, dr, cpuid, ... by breakpoints in a Linux guest's kernel" },
		{ KEY_STAT, "stat", NULL, "sum up by kind, vCPU and CR3, with how long vCPUs waited" },
		{ 'q', "quiet", NULL, "only the summary" },
		{ KEY_JSON, "json", NULL, "one line of JSON an event, the summary last" },
		{ 0 },
	},
	.example = "scry trace web cr3 cpuid wrmsr:lstar --for 10\n"
		   "scry trace web io:0x3f8-0x3ff:w cr8:rw hypercall\n"
		   "scry trace web mem:0x1000000-0x1ffffff:w --stat --quiet --for 5\n"
		   "scry trace web break:do_sys_openat2 --regs -n 1\n"
		   "scry trace web watch:jiffies_64 --regs -n 1\n"
		   "scry trace web cpuid:0x40000000 --json\n"
		   "scry trace web cr3 --sites load_new_mm_cr3 --for 5",
	.run = trace,
};
