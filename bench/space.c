/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "space.h"

#define GIB (UINT64_C(1) << 30)
#define MIB2 (UINT64_C(1) << 21)
#define KERNEL_HALF UINT64_C(0xffff800000000000)
#define MOST_PAGES (1u << 16)
#define WALKS      4000000u

int space_open(struct space *s, struct scry_vm *vm)
{
	s->vm = vm;
	if (bench_ram(vm, &s->ram) < 0)
		return -1;
	if (scry_pause(vm) < 0)
		return bench_fail("%s", scry_errmsg());
	if (scry_as_of_vcpu(vm, 0, &s->as) < 0) {
		bench_fail("%s", scry_errmsg());
		scry_resume(vm);
		return -1;
	}
	if (scry_as_mode(s->as) == SCRY_PAGING_4LEVEL)
		return 0;
	space_close(s);
	return bench_fail("the guest must run with 4-level paging (Linux up and running)");
}

void space_close(struct space *s)
{
	scry_as_free(s->as);
	scry_resume(s->vm);
}

static bool maps(const struct space *s, uint64_t gva, uint64_t gpa)
{
	struct scry_walk w;

	return !scry_walk(s->as, gva, &w) && w.fault == SCRY_WALK_OK && w.gpa == gpa &&
	       w.page_size >= MIB2;
}

uint64_t space_direct_map(const struct space *s)
{
	uint64_t low = (s->ram.gpa + s->ram.size / 4) & ~(MIB2 - 1);
	uint64_t high = (s->ram.gpa + s->ram.size / 4 * 3) & ~(MIB2 - 1);
	struct scry_walk w;

	for (uint64_t gva = KERNEL_HALF; gva; gva += GIB) {
		if (maps(s, gva + low, low) && maps(s, gva + high, high))
			return gva;
		/* Nothing under this top-level entry: on to the next. */
		if (!scry_walk(s->as, gva, &w) && w.fault && w.levels == 1)
			gva = (gva | (512 * GIB - 1)) + 1 - GIB;
	}
	bench_fail("no direct map of RAM found: is the guest an x86-64 Linux?");
	return 0;
}

static bool in_ram(const struct space *s, uint64_t gpa)
{
	return gpa - s->ram.gpa < s->ram.size;
}

static bool is_wanted(const struct space *s, const struct scry_walk *w)
{
	for (int i = 0; i < w->levels; i++)
		if (!in_ram(s, w->step[i].gpa))
			return false;
	return w->levels == 4 && in_ram(s, w->gpa);
}

/* How far one step goes on from an address whose walk is w. */
static uint64_t stride(const struct scry_walk *w)
{
	if (w->fault == SCRY_WALK_NON_CANONICAL || !w->levels)
		return 0;
	return UINT64_C(1) << (12 + 9 * (w->step[w->levels - 1].level - 1));
}

static void shuffle(struct addresses *a)
{
	uint64_t seed = 88172645463325252;

	for (size_t i = a->count; i > 1; i--) {
		size_t other = bench_random(&seed) % i;
		uint64_t kept = a->at[i - 1];

		a->at[i - 1] = a->at[other];
		a->at[other] = kept;
	}
}

int space_small_pages(const struct space *s, struct addresses *pages)
{
	uint64_t gva = 0, step = 1;
	struct scry_walk w;

	pages->count = 0;
	pages->at = malloc(MOST_PAGES * sizeof(uint64_t));
	if (!pages->at)
		return bench_fail("out of memory");
	while (step && pages->count < MOST_PAGES) {
		if (scry_walk(s->as, gva, &w) < 0) {
			free(pages->at);
			return bench_fail("%s", scry_errmsg());
		}
		if (w.fault == SCRY_WALK_OK && is_wanted(s, &w))
			pages->at[pages->count++] = gva;
		step = stride(&w);
		gva = (gva | (step - 1)) + 1;
		if (gva == UINT64_C(1) << 47)
			gva = KERNEL_HALF;
		if (!gva)
			break;
	}
	if (pages->count < 64) {
		free(pages->at);
		return bench_fail("the guest maps too few pages of 4 KiB to measure walks");
	}
	pages->rounds = (int)(WALKS / pages->count) + 1;
	shuffle(pages);
	return 0;
}
