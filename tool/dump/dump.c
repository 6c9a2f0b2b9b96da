/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/memmap.h"
#include "../common/message.h"
#include "../common/output.h"
#include "../common/parse.h"
#include "../common/stop.h"
#include "dump.h"

#define CHUNK (UINT64_C(1) << 20)
#define PAGE  4096u

struct dumping {
	struct scry_vm *vm;
	struct memmap map;	/* of what is dumped: no devices */
	struct dump_bytes notes;
	struct sink sink;
	struct progress progress;
	uint64_t total, done;
	unsigned char *buf;
	struct dump_linux guest;
	bool paused;
	FILE *report;
};

static bool is_zero(const unsigned char *page)
{
	uint64_t first;

	memcpy(&first, page, sizeof(first));
	return !first && !memcmp(page, page + sizeof(first), PAGE - sizeof(first));
}

/* Runs of pages that are zero, and of such that are not. */
static int put_chunk(struct sink *sink, const unsigned char *bytes, size_t len)
{
	int ret = 0;

	for (size_t at = 0, end; !ret && at < len; at = end) {
		bool zero = is_zero(bytes + at);

		for (end = at + PAGE; end < len && is_zero(bytes + end) == zero;)
			end += PAGE;
		ret = zero ? sink_zero(sink, end - at) : sink_write(sink, bytes + at, end - at);
	}
	return ret;
}

static int put_region(struct dumping *d, const struct scry_region *r)
{
	int ret = 0;

	for (uint64_t at = 0; !ret && at < r->size; at += CHUNK) {
		size_t len = r->size - at < CHUNK ? (size_t)(r->size - at) : (size_t)CHUNK;
		const unsigned char *bytes = scry_phys_ptr(d->vm, r->gpa + at, len);

		if (!bytes && scry_read_phys(d->vm, r->gpa + at, d->buf, len) < 0)
			return fail_lib();
		ret = put_chunk(&d->sink, bytes ? bytes : d->buf, len);
		/* The VM's end, or a change of its map, must not pass for zeros. */
		if (!ret && bytes && !scry_phys_ptr(d->vm, r->gpa + at, len))
			return fail_lib();
		d->done += len;
		progress_show(&d->progress, d->done);
		if (!ret && stop_asked())
			return fail("interrupted; nothing of it was left behind");
	}
	return ret;
}

static int put_all(struct dumping *d)
{
	int ret = dump_header(&d->sink, &d->map, &d->guest, &d->notes);

	progress_begin(&d->progress, "dumping", d->total);
	for (size_t i = 0; !ret && i < d->map.count; i++)
		ret = put_region(d, &d->map.regions[i]);
	progress_end(&d->progress);
	return ret ? ret : sink_finish(&d->sink);
}

/* What the VM's devices have is theirs. */
static int get_map(struct dumping *d)
{
	size_t count = 0;

	if (memmap_get(d->vm, &d->map) < 0)
		return fail_lib();
	for (size_t i = 0; i < d->map.count; i++)
		if (!(d->map.regions[i].flags & SCRY_REGION_DEVICE))
			d->map.regions[count++] = d->map.regions[i];
	d->map.count = count;
	for (size_t i = 0; i < count; i++)
		d->total += d->map.regions[i].size;
	return 0;
}

static int prepare(struct dumping *d, const struct dump_opts *opts)
{
	int ret;

	/* A dump stands still as it is. */
	if (!opts->live && scry_cap(d->vm, SCRY_CAP_PAUSE, NULL)) {
		if (scry_pause(d->vm) < 0)
			return fail_lib();
		d->paused = true;
	}
	ret = get_map(d);
	if (ret)
		return ret;
	d->guest.vmcoreinfo = dump_find_vmcoreinfo(d->vm);
	if (d->guest.vmcoreinfo)
		dump_find_kernel_map(d->vm, &d->guest);
	return dump_notes(d->vm, d->guest.vmcoreinfo, &d->notes);
}

/* Where the report goes: not behind the dump, which has no other end than its last byte. */
static FILE *report_to(const struct outfile *file)
{
	struct stat dump, out;
	bool same = !fstat(file->fd, &dump) && !fstat(STDOUT_FILENO, &out) &&
		    dump.st_dev == out.st_dev && dump.st_ino == out.st_ino;

	return same && !S_ISCHR(dump.st_mode) ? stderr : stdout;
}

static void report(const struct dumping *d, const struct dump_opts *opts, unsigned vcpus)
{
	char ram[32], bytes[32];
	struct json_object *o;

	if (!opts->json) {
		fprintf(d->report, "%s of memory, %u vCPU%s%s: %s in %s\n",
			format_size(ram, sizeof(ram), d->total), vcpus, vcpus == 1 ? "" : "s",
			d->guest.vmcoreinfo ? ", VMCOREINFO" : "",
			format_size(bytes, sizeof(bytes), d->sink.written), opts->file);
		return;
	}
	o = checked(json_object_new_object());
	json_add_string(o, "file", opts->file);
	json_add_number(o, "memory_bytes", d->total);
	json_add_number(o, "written_bytes", d->sink.written);
	json_add_number(o, "vcpus", vcpus);
	json_add(o, "vmcoreinfo", json_object_new_boolean(!!d->guest.vmcoreinfo));
	json_print_to(d->report, o);
}

static int dump_to(struct dumping *d, const struct dump_opts *opts)
{
	struct outfile file;
	int ret = outfile_open(&file, opts->file);

	if (ret)
		return ret;
	file.ends_on_stop = true;
	d->report = report_to(&file);
	ret = sink_open(&d->sink, &file, opts->zstd);
	if (!ret)
		ret = prepare(d, opts);
	if (!ret)
		ret = put_all(d);
	/* What follows takes its time, and is nothing to the guest. */
	if (d->paused && scry_resume(d->vm) < 0 && !ret)
		ret = fail_lib();
	sink_close(&d->sink);
	if (ret) {
		outfile_abandon(&file);
		return ret;
	}
	return outfile_commit(&file);
}

int dump_vm(struct scry_vm *vm, const struct dump_opts *opts)
{
	struct dumping d = { .vm = vm, .buf = checked(malloc(CHUNK)) };
	unsigned vcpus = (unsigned)scry_vcpu_count(vm);
	int ret;

	stop_on_signals();
	ret = dump_to(&d, opts);
	if (!ret)
		report(&d, opts, vcpus);
	memmap_free(&d.map);
	free(d.guest.vmcoreinfo);
	free(d.notes.data);
	free(d.buf);
	return ret;
}
