/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>

#include "../common/message.h"
#include "../common/output.h"
#include "shown.h"
#include "stat.h"

/* A guest can make up as many address spaces as it likes: beyond so many rows they are one. */
#define ROWS_MOST   1024
#define ROWS_SHOWN  30
#define CR3_OTHERS  UINT64_MAX

/* Latencies by eighths of a power of two: within 12 %. */
#define EIGHTHS 8
#define BUCKETS (64 * EIGHTHS)

struct stat_row {
	struct stat_row *next;
	enum shown_kind kind;
	uint32_t vcpu;
	uint64_t cr3;
	uint64_t count, longest;
	uint32_t bucket[BUCKETS];
};

static int compare(const void *a, const void *b)
{
	const struct stat_row *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	if (x->vcpu != y->vcpu)
		return x->vcpu < y->vcpu ? -1 : 1;
	return x->cr3 < y->cr3 ? -1 : x->cr3 > y->cr3;
}

static struct stat_row *add_row(struct tracestat *stat, const struct stat_row *key)
{
	struct stat_row *row = checked(calloc(1, sizeof(*row)));

	row->kind = key->kind;
	row->vcpu = key->vcpu;
	row->cr3 = key->cr3;
	row->next = stat->rows;
	stat->rows = row;
	stat->count++;
	checked(tsearch(row, &stat->tree, compare));
	return row;
}

static struct stat_row *row_of(struct tracestat *stat, const struct scry_event *event)
{
	struct stat_row key = { .kind = shown_kind(event), .vcpu = event->vcpu, .cr3 = event->cr3 };
	struct stat_row **found = tfind(&key, &stat->tree, compare);

	if (!found && stat->count >= ROWS_MOST) {
		key.cr3 = CR3_OTHERS;
		found = tfind(&key, &stat->tree, compare);
	}
	return found ? *found : add_row(stat, &key);
}

static unsigned bucket_of(uint64_t ns)
{
	unsigned power;

	if (ns < EIGHTHS)
		return (unsigned)ns;
	power = 63 - (unsigned)__builtin_clzll(ns);
	return (power - 2) * EIGHTHS + (unsigned)(ns >> (power - 3)) % EIGHTHS;
}

/* The longest time that a bucket counts. */
static uint64_t bucket_end(unsigned bucket)
{
	unsigned power = bucket / EIGHTHS + 2;

	if (bucket < EIGHTHS)
		return bucket;
	return ((UINT64_C(1) + EIGHTHS + bucket % EIGHTHS) << (power - 3)) - 1;
}

void stat_add(struct tracestat *stat, const struct scry_event *event, uint64_t ns)
{
	struct stat_row *row = row_of(stat, event);

	row->count++;
	row->bucket[bucket_of(ns)]++;
	if (ns > row->longest)
		row->longest = ns;
}

static uint64_t percentile(const struct stat_row *row, unsigned percent)
{
	uint64_t wanted = (row->count * percent + 99) / 100, passed = 0;

	for (unsigned i = 0; i < BUCKETS; i++) {
		passed += row->bucket[i];
		if (passed >= wanted)
			return bucket_end(i) < row->longest ? bucket_end(i) : row->longest;
	}
	return row->longest;
}

static int by_count(const void *a, const void *b)
{
	const struct stat_row *x = *(struct stat_row *const *)a, *y = *(struct stat_row *const *)b;

	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return compare(x, y);
}

/* The rows, those with most events first. */
static struct stat_row **sorted(const struct tracestat *stat)
{
	struct stat_row **rows = checked(calloc(stat->count + 1, sizeof(*rows)));
	unsigned n = 0;

	for (struct stat_row *row = stat->rows; row; row = row->next)
		rows[n++] = row;
	qsort(rows, n, sizeof(*rows), by_count);
	return rows;
}

static void print_row(struct libscols_table *table, const struct stat_row *row, double seconds)
{
	static const unsigned percents[] = { 50, 90, 99 };
	char vcpu[16], cr3[24] = "others", count[32], rate[32], latency[4][32];

	snprintf(vcpu, sizeof(vcpu), "%" PRIu32, row->vcpu);
	if (row->cr3 != CR3_OTHERS)
		snprintf(cr3, sizeof(cr3), "0x%" PRIx64, row->cr3);
	snprintf(count, sizeof(count), "%" PRIu64, row->count);
	snprintf(rate, sizeof(rate), "%.1f", (double)row->count / seconds);
	for (int i = 0; i < 3; i++)
		snprintf(latency[i], sizeof(latency[i]), "%.1f",
			 (double)percentile(row, percents[i]) / 1e3);
	snprintf(latency[3], sizeof(latency[3]), "%.1f", (double)row->longest / 1e3);
	table_row(table, shown_name(row->kind), vcpu, cr3, count, rate, latency[0], latency[1],
		  latency[2], latency[3]);
}

void stat_print(const struct tracestat *stat, double seconds)
{
	static const struct column columns[] = {
		{ "EVENT", false }, { "VCPU", true }, { "CR3", true }, { "COUNT", true },
		{ "PER SECOND", true }, { "P50 us", true }, { "P90 us", true }, { "P99 us", true },
		{ "LONGEST us", true },
	};
	unsigned shown = stat->count < ROWS_SHOWN ? stat->count : ROWS_SHOWN;
	struct libscols_table *table = table_new(columns, 9, true);
	struct stat_row **rows = sorted(stat);

	for (unsigned i = 0; i < shown; i++)
		print_row(table, rows[i], seconds);
	table_print(table);
	if (shown < stat->count)
		printf("and %u rows more, which --json shows\n", stat->count - shown);
	free(rows);
}

void stat_print_json(const struct tracestat *stat, double seconds)
{
	struct stat_row **rows = sorted(stat);

	printf("\"stat\": [");
	for (unsigned i = 0; i < stat->count; i++) {
		const struct stat_row *row = rows[i];

		printf("%s{\"event\": \"%s\", \"vcpu\": %" PRIu32, i ? ", " : "",
		       shown_name(row->kind), row->vcpu);
		if (row->cr3 != CR3_OTHERS)
			printf(", \"cr3\": \"0x%" PRIx64 "\"", row->cr3);
		printf(", \"count\": %" PRIu64 ", \"rate\": %.1f, \"wait_ns\": {\"p50\": %" PRIu64
		       ", \"p90\": %" PRIu64 ", \"p99\": %" PRIu64 ", \"longest\": %" PRIu64 "}}",
		       row->count, (double)row->count / seconds, percentile(row, 50),
		       percentile(row, 90), percentile(row, 99), row->longest);
	}
	printf("]");
	free(rows);
}

void stat_free(struct tracestat *stat)
{
	tdestroy(stat->tree, free);
}
