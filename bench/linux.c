/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Finding Linux in guest memory, and walking its tasks. */
#include <scry/linux.h>

#include "bench.h"

#define TASKS_MOST 4096
#define FIELDS     16		/* about as many as are read of a task */
#define WALKS      100

struct work {
	struct scry_vm *vm;
	struct scry_linux *os;
	struct ram ram;
	uint64_t image, image_size;	/* gpa */
	uint64_t task[TASKS_MOST];
	size_t count;
};

static double found(void *arg)
{
	const struct work *w = arg;
	double start = bench_now();
	struct scry_linux *os;

	if (scry_linux_open(w->vm, &os) < 0)
		return bench_fail("%s", scry_errmsg());
	start = bench_now() - start;
	scry_linux_close(os);
	return start * 1e3;
}

/* Each word of the kernel's image, once. */
static double image_read(void *arg)
{
	const struct work *w = arg;
	const volatile uint64_t *word = (const void *)(w->ram.base + w->image);
	double start = bench_now();
	uint64_t sum = 0;

	for (uint64_t i = 0; i < w->image_size / 8; i++)
		sum += word[i];
	hidden(sum);
	return (bench_now() - start) * 1e3;
}

int bench_linux_find(const struct bench *b, const char *name)
{
	struct scry_linux_info info = { .sz = sizeof(info) };
	struct work w = { .vm = b->vm };
	uint64_t end;
	int ret;

	if (bench_ram(b->vm, &w.ram) < 0)
		return -1;
	if (scry_linux_open(b->vm, &w.os) < 0)
		return bench_fail("%s", scry_errmsg());
	ret = scry_linux_info(w.os, &info);
	if (!ret)
		ret = scry_linux_symbol(w.os, "_end", &end);
	scry_linux_close(w.os);
	if (ret < 0)
		return bench_fail("%s", scry_errmsg());
	w.image = info.text_gpa;
	w.image_size = end - info.text_gva;
	if (w.image < w.ram.gpa || w.image + w.image_size > w.ram.gpa + w.ram.size)
		return bench_fail("the kernel is not in the largest region of RAM");
	return bench_pairs(b, name, "ms", found, image_read, &w);
}

static int note_task(const struct scry_linux_task *task, void *opaque)
{
	struct work *w = opaque;

	if (w->count < TASKS_MOST)
		w->task[w->count++] = task->address;
	return 0;
}

static int no_more(const struct scry_linux_task *task, void *opaque)
{
	(void)opaque;
	hidden(task->address);
	return 0;
}

/* Of 200 tasks: so many are asked for. */
static double per_200(const struct work *w, double start)
{
	return (bench_now() - start) * 1e6 / WALKS / (double)w->count * 200;
}

static double walked(void *arg)
{
	struct work *w = arg;
	double start = bench_now();

	for (int i = 0; i < WALKS; i++)
		if (scry_linux_tasks(w->os, 0, no_more, NULL) < 0)
			return bench_fail("%s", scry_errmsg());
	return per_200(w, start);
}

static double fields_read(void *arg)
{
	struct work *w = arg;
	double start = bench_now();
	uint64_t value;

	for (int i = 0; i < WALKS; i++)
		for (size_t n = 0; n < w->count; n++)
			for (uint64_t at = 0; at < FIELDS; at++)
				if (scry_read_virt_u64(scry_linux_as(w->os), w->task[n] + 64 * at,
						       &value) < 0)
					return bench_fail("%s", scry_errmsg());
	return per_200(w, start);
}

int bench_linux_ps(const struct bench *b, const char *name)
{
	struct work w = { .vm = b->vm };
	int ret = -1;

	if (scry_pause(b->vm) < 0 || scry_linux_open(b->vm, &w.os) < 0)
		return bench_fail("%s", scry_errmsg());
	if (scry_linux_tasks(w.os, 0, note_task, &w) < 0)
		bench_fail("%s", scry_errmsg());
	else
		ret = bench_pairs(b, name, "us", walked, fields_read, &w);
	scry_linux_close(w.os);
	scry_resume(b->vm);
	return ret;
}
