/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "../common/message.h"
#include "../common/outfile.h"
#include "../common/output.h"
#include "../common/parse.h"
#include "../common/stop.h"
#include "../common/term.h"
#include "pt.h"

#define VCPUS   64
#define CHUNK   (1u << 20)
#define SHOW_NS 500000000u
#define MOMENT_NS 2000000

struct recording {
	struct scry_vm *vm;
	const struct pt_record *record;
	unsigned vcpus;
	struct {
		bool on;
		struct outfile file;
		uint64_t bytes;
	} vcpu[VCPUS];
	uint8_t *chunk;
};

static bool wanted(const struct recording *r, unsigned vcpu)
{
	return !r->record->opts.vcpus || r->record->opts.vcpus >> vcpu & 1;
}

static int open_files(struct recording *r)
{
	char path[4096];

	for (unsigned i = 0; i < r->vcpus; i++) {
		if (!wanted(r, i))
			continue;
		if (snprintf(path, sizeof(path), "%s.cpu%u", r->record->file, i) >=
		    (int)sizeof(path))
			return fail("the file's name is too long: %s", r->record->file);
		if (outfile_open(&r->vcpu[i].file, path))
			return EXIT_FAILURE;
		r->vcpu[i].on = true;
	}
	return 0;
}

/* All that is there now: 1 if there was something, 0, or -1. */
static int take(struct recording *r)
{
	int any = 0;

	for (unsigned i = 0; i < r->vcpus; i++) {
		int64_t n = r->vcpu[i].on ? scry_pt_read(r->vm, i, r->chunk, CHUNK) : 0;

		if (n < 0) {
			fail_lib();
			return -1;
		}
		if (n && outfile_write(&r->vcpu[i].file, r->chunk, (size_t)n))
			return -1;
		r->vcpu[i].bytes += (uint64_t)n;
		any |= n > 0;
	}
	return any;
}

static uint64_t total(const struct recording *r)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < r->vcpus; i++)
		bytes += r->vcpu[i].bytes;
	return bytes;
}

/* Until a signal, the time is over, or the VM has ended. */
static int record_on(struct recording *r)
{
	const struct timespec moment = { .tv_nsec = MOMENT_NS };
	uint64_t began = now_ns(), shown = began, now = began;
	struct scry_event event;
	bool show = isatty(STDERR_FILENO);
	char size[32];
	int any = 0;

	while (any >= 0 && !stop_asked() && !output_gone() &&
	       (!r->record->ms || now - began < r->record->ms * UINT64_C(1000000))) {
		any = take(r);
		if (!any)
			nanosleep(&moment, NULL);
		now = now_ns();
		/* Nothing is subscribed: only the VM's end can come. */
		if (any >= 0 && scry_event_wait(r->vm, &event, 1, 0) < 0)
			break;
		if (show && now - shown >= SHOW_NS) {
			fprintf(stderr, "\r%s, %" PRIu64 " s\033[K",
				format_size(size, sizeof(size), total(r)), (now - began) / 1000000000);
			shown = now;
		}
	}
	if (show)
		fprintf(stderr, "\r\033[K");
	return any < 0 ? EXIT_FAILURE : 0;
}

/* The rest, and then the files are complete. */
static int finish(struct recording *r)
{
	char size[32];
	int any;

	if (scry_pt_stop(r->vm) < 0)
		note("%s", scry_errmsg());
	do
		any = take(r);
	while (any > 0);
	for (unsigned i = 0; any == 0 && i < r->vcpus; i++) {
		if (!r->vcpu[i].on)
			continue;
		r->vcpu[i].on = false;
		if (outfile_commit(&r->vcpu[i].file))
			return EXIT_FAILURE;
		printf("vCPU %u: %s in %s.cpu%u\n", i,
		       format_size(size, sizeof(size), r->vcpu[i].bytes), r->record->file, i);
	}
	return any < 0 ? EXIT_FAILURE : 0;
}

int pt_record(struct scry_vm *vm, const struct pt_record *record)
{
	struct scry_info info = { .sz = sizeof(info) };
	struct recording r = { .vm = vm, .record = record, .chunk = checked(malloc(CHUNK)) };
	int ret;

	stop_on_signals();
	if (scry_info(vm, &info) < 0) {
		ret = fail_lib();
	} else {
		r.vcpus = info.vcpus;
		ret = open_files(&r);
	}
	if (!ret && scry_pt_start(vm, &record->opts) < 0)
		ret = fail_lib();
	if (!ret)
		ret = record_on(&r);
	if (!ret)
		ret = finish(&r);
	for (unsigned i = 0; i < r.vcpus; i++)
		if (r.vcpu[i].on)
			outfile_abandon(&r.vcpu[i].file);
	free(r.chunk);
	return ret;
}
