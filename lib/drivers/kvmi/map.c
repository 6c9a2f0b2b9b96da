/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "../../guard.h"
#include "kvmi.h"
#include "qemu_ram.h"

/*
 * KVMI has no memory map: which frames have memory is found by reading a byte of
 * them.  Below 2 MiB all are tried, above one in 2 MiB, with the borders sought
 * where two differ: a hole that begins and ends within 2 MiB goes unseen.
 */

#define STRIDE    512u			/* frames of 2 MiB */
#define BATCH     512u			/* frames tried at a time */
#define FINE      512u			/* those below are tried each */
#define FRAMES    (UINT64_C(1) << 28)	/* most of a VM, 1 TiB */
#define GIB4      (UINT64_C(1) << 20)	/* frames of 4 GiB */
#define DIMM      (UINT64_C(1) << 15)	/* frames of 128 MiB */
#define REGIONS   256

/* Which of these frames (`stride` apart) have memory. */
static int probe(struct kvmi_vm *k, uint64_t gfn, uint64_t stride, size_t count, bool *there)
{
	struct kvmi_call call[BATCH];
	int ret;

	for (size_t i = 0; i < count; i++) {
		call[i] = kvmi_memory_call(KVMI_READ_PHYSICAL, (gfn + i * stride) << 12, 1);
		call[i].reply_min = call[i].reply_max = 1;
	}
	ret = kvmi_calls(k, call, count);
	for (size_t i = 0; !ret && i < count; i++) {
		there[i] = !call[i].err;
		if (call[i].err && call[i].err != KVMI_ENOENT && call[i].err != KVMI_EINVAL)
			ret = kvmi_refused(k, &call[i]);
	}
	return ret;
}

struct finder {
	struct kvmi_vm *k;
	size_t count;
	struct scry_mapped_region region[REGIONS];
	bool open;			/* the last region goes on */
	bool full;			/* there are more */
	uint64_t last;			/* frame tried last */
};

/* From frame gfn on there is memory, or none. */
static void turn(struct finder *f, uint64_t gfn, bool there)
{
	struct scry_region *r;

	if (there == f->open)
		return;
	if (!there) {
		r = &f->region[f->count - 1].region;
		r->size = (gfn << 12) - r->gpa;
	} else if (f->count < REGIONS) {
		f->region[f->count++].region = (struct scry_region){ .gpa = gfn << 12 };
	} else {
		f->full = true;
		return;
	}
	f->open = there;
}

/* A frame that was tried: if it is not as the last, the border lies between. */
static int found(struct finder *f, uint64_t gfn, bool there)
{
	uint64_t low = f->last, high = gfn;
	int ret = 0;

	f->last = gfn;
	if (there == f->open)
		return 0;
	while (!ret && high - low > 1) {
		uint64_t middle = low + (high - low) / 2;
		bool now = false;

		ret = probe(f->k, middle, 1, 1, &now);
		if (now == there)
			high = middle;
		else
			low = middle;
	}
	if (!ret)
		turn(f, high, there);
	if (f->full)
		return scry_fail(SCRY_E_PROTOCOL, "the memory of VM %s lies in more than %d pieces",
				 f->k->vm->name, REGIONS);
	return ret;
}

/* Try frames from gfn on, that many, so far apart. */
static int scan(struct finder *f, uint64_t gfn, uint64_t stride, uint64_t count)
{
	bool there[BATCH];
	int ret = 0;

	while (!ret && count) {
		size_t n = count < BATCH ? count : BATCH;

		ret = probe(f->k, gfn, stride, n, there);
		for (size_t i = 0; !ret && i < n; i++)
			ret = found(f, gfn + i * stride, there[i]);
		gfn += n * stride;
		count -= n;
	}
	return ret;
}

static int find_regions(struct finder *f, uint64_t frames)
{
	uint64_t fine = frames < FINE ? frames : FINE;
	bool first = false;
	int ret = probe(f->k, 0, 1, 1, &first);

	if (!ret && first)
		turn(f, 0, true);
	if (!ret)
		ret = scan(f, 1, 1, fine ? fine - 1 : 0);
	if (!ret && frames > FINE)
		ret = scan(f, FINE, STRIDE, (frames - FINE + STRIDE - 1) / STRIDE);
	if (!ret && frames)
		ret = scan(f, frames - 1, 1, 1);
	if (!ret)
		turn(f, frames, false);
	return ret;
}

/* Of a QEMU that does not tell where RAM ends: it is looked for. */
static int seek_end(struct kvmi_vm *k, uint64_t *frames)
{
	bool there = true;
	int ret = 0;

	for (*frames = GIB4; !ret && there && *frames < FRAMES; *frames += there ? DIMM : 0)
		ret = probe(k, *frames, 1, 1, &there);
	return ret;
}

/* How many frames there may be: one more than the highest. */
static int count_frames(struct kvmi_vm *k, uint64_t *frames)
{
	struct kvmi_call call = kvmi_vm_call(KVMI_GET_MAX_GFN, NULL, 0);
	struct kvmi_v7_number_reply reply = { 0 };
	int ret = 0;

	*frames = (k->handshake.max_gpa + KVMI_PAGE - 1) / KVMI_PAGE;
	if (k->command[KVMI_GET_MAX_GFN]) {
		call.reply = &reply;
		call.reply_min = call.reply_max = sizeof(reply);
		ret = kvmi_call(k, &call);
		*frames = reply.value;
	} else if (!*frames) {
		ret = seek_end(k, frames);
	}
	if (*frames > FRAMES)
		*frames = FRAMES;
	return ret;
}

/* Part two regions at the first MiB: what lies below is not always RAM (see qemu_ram.h). */
static void split_first(struct finder *f)
{
	for (size_t i = 0; i < f->count && f->count < REGIONS; i++) {
		struct scry_mapped_region *r = &f->region[i];
		uint64_t low = KVMI_RAM_BEGIN - r->region.gpa;

		if (r->region.gpa >= KVMI_RAM_BEGIN || r->region.size <= low)
			continue;
		memmove(r + 1, r, (f->count++ - i) * sizeof(*r));
		r[0].region.size = low;
		r[1].region.gpa = KVMI_RAM_BEGIN;
		r[1].region.size -= low;
		return;
	}
}

/* A load from the file of guest RAM has failed. */
static int cut_short(struct kvmi_vm *k)
{
	int ret;

	pthread_mutex_lock(&k->lock);
	ret = kvmi_end(k, SCRY_E_GONE, "the file of its RAM was shortened, or its disk fails");
	pthread_mutex_unlock(&k->lock);
	return ret;
}

int kvmi_map(struct scry_vm *vm)
{
	struct kvmi_vm *k = kvmi_of(vm);
	struct finder *f;
	int ret;

	if (k->life == SCRY_GUARD_BROKEN && !k->ended)
		return cut_short(k);
	if (k->ended)
		return kvmi_ended(k);
	f = calloc(1, sizeof(*f));
	if (!f)
		return scry_fail(SCRY_E_NOMEM, "out of memory for the memory map");
	f->k = k;
	ret = count_frames(k, &k->frames);
	if (!ret)
		ret = find_regions(f, k->frames);
	if (!ret) {
		split_first(f);
		kvmi_find_ram(k, f->region, f->count);
		ret = scry_ram_publish(vm, f->region, f->count, (const uint64_t *)&k->life,
				       SCRY_GUARD_ALIVE);
	}
	free(f);
	return ret;
}
