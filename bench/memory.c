/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reads of 8 bytes, and of 4 KiB and 1 MiB, of physical memory. */
#include <string.h>

#include "bench.h"

#define KIB4 UINT64_C(4096)
#define MIB  (UINT64_C(1) << 20)

int bench_ram(struct scry_vm *vm, struct ram *ram)
{
	struct scry_region region[64];
	int count = scry_memory_map(vm, region, 64);

	if (count < 0)
		return bench_fail("%s", scry_errmsg());
	ram->size = 0;
	for (int i = 0; i < count && i < 64; i++) {
		if (!(region[i].flags & SCRY_REGION_MAPPED) || region[i].size <= ram->size)
			continue;
		ram->gpa = region[i].gpa;
		ram->size = region[i].size;
	}
	if (!ram->size)
		return bench_fail("no RAM of this VM is mapped: start it with shared RAM");
	ram->base = scry_phys_ptr(vm, ram->gpa, ram->size);
	if (!ram->base)
		return bench_fail("%s", scry_errmsg());
	ram->base -= ram->gpa;
	return 0;
}

struct work {
	struct scry_vm *vm;
	struct ram ram;
	struct addresses addresses;
	uint64_t chunk;		/* of sequential reads */
	unsigned char *buf;
};

/*
 * Each address waits for the value read before it, as it does where data
 * structures are followed: what is measured is how long a read takes.
 */
static double chain_by_scry(void *arg)
{
	const struct work *w = arg;
	uint64_t zero = hidden(0), value = 0;
	double start = bench_now();

	for (int r = 0; r < w->addresses.rounds; r++)
		for (size_t i = 0; i < w->addresses.count; i++)
			if (scry_read_phys_u64(w->vm, w->addresses.at[i] + (value & zero), &value))
				return bench_fail("%s", scry_errmsg());
	hidden(value);
	return addresses_ns(&w->addresses, start);
}

static double chain_by_load(void *arg)
{
	const struct work *w = arg;
	const unsigned char *base = w->ram.base;
	uint64_t zero = hidden(0), value = 0;
	double start = bench_now();

	for (int r = 0; r < w->addresses.rounds; r++)
		for (size_t i = 0; i < w->addresses.count; i++)
			value = *(const volatile uint64_t *)(base + w->addresses.at[i] +
							     (value & zero));
	hidden(value);
	return addresses_ns(&w->addresses, start);
}

/* No address waits: what is measured is how many reads overlap. */
static double stream_by_scry(void *arg)
{
	const struct work *w = arg;
	double start = bench_now();
	uint64_t value;

	for (int r = 0; r < w->addresses.rounds; r++) {
		for (size_t i = 0; i < w->addresses.count; i++) {
			if (scry_read_phys_u64(w->vm, w->addresses.at[i], &value))
				return bench_fail("%s", scry_errmsg());
			hidden(value);
		}
	}
	return addresses_ns(&w->addresses, start);
}

static double stream_by_load(void *arg)
{
	const struct work *w = arg;
	const unsigned char *base = w->ram.base;
	double start = bench_now();

	for (int r = 0; r < w->addresses.rounds; r++)
		for (size_t i = 0; i < w->addresses.count; i++)
			hidden(*(const volatile uint64_t *)(base + w->addresses.at[i]));
	return addresses_ns(&w->addresses, start);
}

/* Touch every page, so that no first access is measured. */
static void touch(const struct ram *ram)
{
	for (uint64_t at = 0; at < ram->size; at += KIB4)
		hidden(*(const volatile unsigned char *)(ram->base + ram->gpa + at));
}

static int choose_addresses(struct work *w, bool hot)
{
	uint64_t first = w->ram.gpa, size = w->ram.size, seed = 88172645463325252;

	if (addresses_new(&w->addresses, hot) < 0)
		return -1;
	if (hot) {
		first += size / 2 & ~(KIB4 - 1);
		size = KIB4;
	}
	for (size_t i = 0; i < w->addresses.count; i++)
		w->addresses.at[i] = first + bench_random(&seed) % (size / 8) * 8;
	return 0;
}

int bench_read_phys(const struct bench *b, const char *name)
{
	bool hot = strstr(name, "hot"), stream = strstr(name, "stream");
	struct work w = { .vm = b->vm };
	int ret;

	if (bench_ram(b->vm, &w.ram) < 0 || choose_addresses(&w, hot) < 0)
		return -1;
	touch(&w.ram);
	ret = bench_pairs(b, name, "ns", stream ? stream_by_scry : chain_by_scry,
			  stream ? stream_by_load : chain_by_load, &w);
	free(w.addresses.at);
	return ret;
}

static double gigabytes_per_second(const struct work *w, double start)
{
	return (double)w->ram.size / 1e9 / (bench_now() - start);
}

static double copy_by_scry(void *arg)
{
	const struct work *w = arg;
	double start = bench_now();

	for (uint64_t at = 0; at < w->ram.size; at += w->chunk)
		if (scry_read_phys(w->vm, w->ram.gpa + at, w->buf, w->chunk) < 0)
			return bench_fail("%s", scry_errmsg());
	return gigabytes_per_second(w, start);
}

static double copy_by_memcpy(void *arg)
{
	const struct work *w = arg;
	double start = bench_now();

	for (uint64_t at = 0; at < w->ram.size; at += w->chunk) {
		memcpy(w->buf, w->ram.base + w->ram.gpa + at, w->chunk);
		__asm__ volatile("" : : "r"(w->buf) : "memory");
	}
	return gigabytes_per_second(w, start);
}

int bench_copy(const struct bench *b, const char *name)
{
	struct work w = { .vm = b->vm, .chunk = strstr(name, "1m") ? MIB : KIB4 };
	int ret;

	if (bench_ram(b->vm, &w.ram) < 0)
		return -1;
	w.ram.size -= w.ram.size % w.chunk;
	w.buf = aligned_alloc(KIB4, w.chunk);
	if (!w.buf)
		return bench_fail("out of memory");
	touch(&w.ram);
	memset(w.buf, 0, w.chunk);
	ret = bench_pairs(b, name, "GB/s", copy_by_scry, copy_by_memcpy, &w);
	free(w.buf);
	return ret;
}
