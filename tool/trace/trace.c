/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "../common/message.h"
#include "../common/output.h"
#include "../common/stop.h"
#include "print.h"
#include "trace.h"

#define RATE_NS  1000000000u	/* how often the rate line is drawn */
#define WAIT_MS  50
#define STDOUT_BUFFER (256 * 1024)

/* A line that tells how it goes, where nothing else scrolls by. */
static void show_rate(struct trace *t, uint64_t now)
{
	double seconds = (double)(now - t->rate_shown) / 1e9;

	if (now - t->rate_shown < RATE_NS)
		return;
	fprintf(stderr, "\r%" PRIu64 " events, %.0f per second, %" PRIu64 " s\033[K", t->total,
		(double)(t->total - t->rate_total) / seconds, (now - t->began) / 1000000000);
	t->rate_shown = now;
	t->rate_total = t->total;
}

static void print_event(const struct trace *t, const struct scry_event *e, uint64_t now,
			const struct scry_linux_task *task)
{
	if (t->quiet)
		return;
	if (t->json)
		event_print_json(e, now - t->began, t->registers, task);
	else
		event_print(e, now - t->began, t->registers, task);
}

/* Who it is, as long as the vCPU waits. */
static void see_task(const struct trace *t, const struct scry_event *e, struct scry_linux_task *task)
{
	if (t->os && !t->quiet && scry_linux_current(t->os, e->vcpu, task) < 0)
		*task = (struct scry_linux_task){ .comm = "?" };
}

/* Answer at once, and print when the vCPU is on its way. */
static int take(struct trace *t, struct scry_event *events, int n)
{
	struct scry_linux_task tasks[TRACE_VCPUS];
	bool shown[TRACE_VCPUS];
	uint64_t now = now_ns();

	for (int i = 0; i < n; i++) {
		int ret;

		shown[i] = sites_see(t, &events[i]);
		if (shown[i])
			see_task(t, &events[i], &tasks[i]);
		ret = scry_reply_action(t->vm, &events[i], SCRY_CONTINUE);

		if (ret < 0)
			return ret;
		if (t->stat && shown[i])
			stat_add(&t->stats, &events[i], now_ns() - events[i].time_ns);
	}
	for (int i = 0; i < n && (!t->most || t->total < t->most); i++) {
		if (!shown[i])
			continue;
		t->total++;
		if (events[i].vcpu < TRACE_VCPUS)
			t->count[shown_kind(&events[i])][events[i].vcpu]++;
		print_event(t, &events[i], now, t->os ? &tasks[i] : NULL);
	}
	return 0;
}

/* Does anything end the trace?  Then why. */
static const char *ending(const struct trace *t, uint64_t now)
{
	if (stop_asked())
		return "interrupted";
	if (t->most && t->total >= t->most)
		return "count";
	if (t->ms && now - t->began >= t->ms * UINT64_C(1000000))
		return "time";
	return NULL;
}

static int loop(struct trace *t, bool show)
{
	struct scry_event events[TRACE_VCPUS];

	while (!t->why) {
		int n = scry_event_wait(t->vm, events, TRACE_VCPUS, WAIT_MS);
		uint64_t now;

		if (n >= 0)
			n = take(t, events, n);
		if (n < 0)
			return n;
		now = now_ns();
		if (show)
			show_rate(t, now);
		t->why = output_pass_on(&t->flushed) ? ending(t, now) : "output";
	}
	return 0;
}

static void summary_rows(const struct trace *t, double seconds, struct libscols_table *table)
{
	for (enum shown_kind kind = 0; kind < SHOWN_COUNT; kind++) {
		for (unsigned vcpu = 0; vcpu < TRACE_VCPUS; vcpu++) {
			char number[16], count[32], rate[32];

			if (!t->count[kind][vcpu])
				continue;
			snprintf(number, sizeof(number), "%u", vcpu);
			snprintf(count, sizeof(count), "%" PRIu64, t->count[kind][vcpu]);
			snprintf(rate, sizeof(rate), "%.1f",
				 (double)t->count[kind][vcpu] / seconds);
			table_row(table, shown_name(kind), number, count, rate);
		}
	}
}

static void print_summary(const struct trace *t)
{
	static const struct column columns[] = {
		{ "EVENT", false }, { "VCPU", true }, { "COUNT", true }, { "PER SECOND", true },
	};
	double seconds = (double)(t->ended - t->began) / 1e9;
	struct libscols_table *table;

	printf("%s%s%" PRIu64 " event%s in %.3f s, %.1f per second%s\n", t->quiet ? "" : "\n",
	       colour(BOLD), t->total, t->total == 1 ? "" : "s", seconds, (double)t->total / seconds,
	       colour(PLAIN));
	if (!t->total)
		return;
	if (t->stat) {
		stat_print(&t->stats, seconds);
		return;
	}
	table = table_new(columns, 4, true);
	summary_rows(t, seconds, table);
	table_print(table);
}

static void print_summary_json(const struct trace *t)
{
	double seconds = (double)(t->ended - t->began) / 1e9;
	const char *comma = "";

	printf("{\"summary\": {\"events\": %" PRIu64 ", \"seconds\": %.3f, \"rate\": %.1f, "
	       "\"ended\": \"%s\", \"counts\": [", t->total, seconds, (double)t->total / seconds,
	       t->why);
	for (enum shown_kind kind = 0; kind < SHOWN_COUNT; kind++) {
		for (unsigned vcpu = 0; vcpu < TRACE_VCPUS; vcpu++) {
			if (!t->count[kind][vcpu])
				continue;
			printf("%s{\"event\": \"%s\", \"vcpu\": %u, \"count\": %" PRIu64 "}", comma,
			       shown_name(kind), vcpu, t->count[kind][vcpu]);
			comma = ", ";
		}
	}
	printf("]");
	if (t->stat) {
		printf(", ");
		stat_print_json(&t->stats, seconds);
	}
	printf("}}\n");
}

int trace_run(struct trace *t)
{
	/* Beside lines that scroll by on the same terminal a rate line would only flicker. */
	bool show = isatty(STDERR_FILENO) && (t->quiet || !isatty(STDOUT_FILENO));
	int ret;

	setvbuf(stdout, NULL, _IOFBF, STDOUT_BUFFER);
	t->began = t->flushed = t->rate_shown = now_ns();
	if (trace_arm(t))
		return EXIT_FAILURE;
	if (!t->quiet && !t->json)
		event_heading(t->os);
	ret = loop(t, show);
	t->ended = now_ns();
	if (show)
		fprintf(stderr, "\r\033[K");
	if (ret == SCRY_E_GONE) {
		t->why = "vm-ended";
		note("%s", scry_errmsg());
	} else if (ret < 0) {
		return fail_lib();
	}
	if (t->json)
		print_summary_json(t);
	else
		print_summary(t);
	return 0;
}
